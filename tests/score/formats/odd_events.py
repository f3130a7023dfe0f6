"""Files whose events are odd: meta events, texts, channel messages, system messages."""

from __future__ import annotations

from tests.score.formats.odd_bytes import (
    ACCEPT,
    EITHER,
    END,
    HEAD,
    PITCHES,
    REPAIR,
    SONG,
    TAIL,
    TRACK,
    chunk,
    header,
    meta,
    note,
    of,
    off,
    on,
    one,
    said_first,
    said_within,
    sysex,
)

# ---- meta events -----------------------------------------------------------------------------------------------


def metas(kind: int, *payloads: str) -> dict[str, bytes]:
    """The song behind a meta event, for each payload in hexadecimal digits."""
    return said_first({f"{payload or 'nothing'}": meta(kind, bytes.fromhex(payload)) for payload in payloads})


META_EVENTS = [
    of(
        "invalid key signature", REPAIR, metas(0x59, "0800", "f800", "7f00", "8000", "0002", "00ff", "00", "000000", "")
    ),
    of("valid key signature", ACCEPT, metas(0x59, "0701", "f900", "0000")),
    of(
        "invalid SMPTE offset",
        REPAIR,
        metas(
            0x54,
            "1800000000",
            "003c000000",
            "00003c0000",
            "0000001e00",
            "0000000064",
            "00000000",
            "000000000000",
            "ff00000000",
            "",
        ),
    ),
    of("SMPTE offset past the frames of its rate", EITHER, metas(0x54, "0000001b00")),
    of("valid SMPTE offset", ACCEPT, metas(0x54, "173b3b1d63", "61000a0000")),
    of("tempo of a wrong length", REPAIR, metas(0x51, "07a1", "0007a120", "")),
    of("tempo of 0", REPAIR, metas(0x51, "000000")),
    of("extreme tempo", ACCEPT, metas(0x51, "ffffff"), seconds=25.17),
    of("extreme tempo", ACCEPT, metas(0x51, "000001"), seconds=0.0),
    of(
        "many tempi at one tick",
        ACCEPT,
        {
            "the last of 100 counts": one(
                b"".join(meta(0x51, (n * 10_000).to_bytes(3, "big")) for n in range(1, 101)) + SONG
            ),
        },
        seconds=1.5,
    ),
    of(
        "many tempi at one tick",
        ACCEPT,
        {
            "the last counts, though said before": one(
                b"".join(meta(0x51, bytes((n, 0, 0))) for n in (14, 7, 14)) + SONG
            )
        },
        seconds=1.376,
    ),
    of(
        "tempo in a later track",
        ACCEPT,
        {
            "second": header(2) + TRACK + chunk(meta(0x51, b"\x0f\x42\x40") + END),
        },
        seconds=1.5,
    ),
    of("time signature of a wrong length", REPAIR, metas(0x58, "0402", "04", "", "040218", "0402180800")),
    of("impossible time signature", REPAIR, metas(0x58, "00021808", "04ff1808", "04081808", "00001808")),
    of("extreme time signature", ACCEPT, metas(0x58, "ff071808", "01001808", "ff001808", "04020000")),
    of(
        "other meta event of a wrong length",
        REPAIR,
        said_first(
            {
                "port of 2 bytes": meta(0x21, b"\0\1"),
                "channel prefix of 0": meta(0x20),
                "channel prefix of 2": meta(0x20, b"\0\1"),
                "sequence number of 1": meta(0x00, b"\1"),
                "sequence number of 3": meta(0x00, b"\0\0\1"),
            }
        ),
    ),
    of("end of track of a wrong length", REPAIR, {"1 byte": header() + chunk(SONG + b"\0\xff\x2f\1\0")}),
    of(
        "rare meta event",
        ACCEPT,
        said_first(
            {
                "channel prefix": meta(0x20, b"\5"),
                "port": meta(0x21, b"\1"),
                "port of no length": meta(0x21),
                "sequence number": meta(0x00, b"\0\7"),
                "sequence number of no length": meta(0x00),
                "sequencer-specific": meta(0x7F, b"\0\0\x41\1\2\3"),
                "sequencer-specific, empty": meta(0x7F),
                "unknown kind 60": meta(0x60, b"abc"),
                "unknown kind 4B": meta(0x4B, b"\x80\xff"),
                "unknown, empty": meta(0x0E),
                "cue point": meta(0x07, b"curtain"),
                "program name": meta(0x08, b"Grand"),
                "device name": meta(0x09, b"SC-55"),
                "copyright": meta(0x02, b"(c) 1820"),
                "instrument name": meta(0x04, b"Oboe"),
                "XMF patch type": meta(0x60, b"\1"),
            }
        ),
    ),
    of("meta event of a kind above 127", REPAIR, said_within({"80": b"\0\xff\x80\0", "F0": b"\0\xff\xf0\2ab"})),
]


TEXTS = (
    (1, "Latin-1", "Prélude".encode("latin-1"), "Prélude"),
    (3, "UTF-8", "Préludium № 1 ♯".encode(), "Préludium № 1 ♯"),
    (5, "Shift-JIS, bytes kept", "さくら".encode("shift_jis"), "さくら".encode("shift_jis").decode("latin-1")),
    (3, "escape codes", b"\x1b[2J\x1b]0;owned\x07", "\x1b[2J\x1b]0;owned\x07"),
    (1, "zero bytes", b"a\0b\0", "a\0b\0"),
    (6, "line ends", b"one\r\ntwo\nthree\r", "one\r\ntwo\nthree\r"),
    (1, "64 kB", b"la" * 32_768, "la" * 32_768),
    (3, "a script", b"<script>alert(1)</script>", "<script>alert(1)</script>"),
    (3, "a path", b"../../../etc/passwd", "../../../etc/passwd"),
    (5, "a broken surrogate", b"\xed\xa0\x80", "\xed\xa0\x80"),
    (3, "a byte order mark", b"\xef\xbb\xbfla", "\ufeffla"),
)
"""Kind of meta event, name, bytes, and what they say."""
KARAOKE = (
    chunk(meta(1, b"@KMIDI KARAOKE FILE") + END)
    + chunk(meta(1, b"@LENGL") + meta(1, b"@TSong") + meta(1, b"\\La") + meta(1, b"/la ", 240) + END)
    + TRACK
)
WORDS = [
    *(of("text", ACCEPT, {name: one(meta(kind, data) + SONG)}, text=text) for kind, name, data, text in TEXTS),
    of("karaoke", ACCEPT, {"texts with @": header(3) + KARAOKE}, text="@TSong", suffix=".kar"),
    of("karaoke", ACCEPT, {"syllables": header(3) + KARAOKE}, text="/la ", suffix=".kar"),
    of("karaoke", ACCEPT, {"lyrics": one(meta(5, b"la ") + SONG)}, text="la ", suffix=".kar"),
]


# ---- channel messages ------------------------------------------------------------------------------------------

BARE = bytes((0, 64, 64, 0x81, 0x70, 64, 0)) + bytes((0, 67, 64, 0x81, 0x70, 67, 0))
"""The last two notes of the song with a status that runs on."""


def running_on(event: bytes) -> bytes:
    """A file in which a note-on's status runs on behind an event."""
    return one(on(60) + on(60, 240, velocity=0) + event + BARE)


CHANNEL_MESSAGES = [
    of(
        "data byte > 127",
        REPAIR,
        {
            "controller value": one(SONG + b"\0\xb0\x07\xff"),
            "controller number": one(SONG + b"\0\xb0\xc0\x40"),
            "program": one(SONG + b"\0\xc0\xff"),
            "bend": one(SONG + b"\0\xe0\0\x80"),
            "channel aftertouch": one(SONG + b"\0\xd0\x80"),
            "key aftertouch": one(SONG + b"\0\xa0\x3c\x90"),
        },
    ),
    of(
        "data byte > 127",
        REPAIR,
        said_first(
            {
                "pitch": b"\0\x90\xc8\x40\0\x80\xc8\x40",
                "velocity": b"\0\x90\x7f\xff" + off(127),
                "velocity of an off": on(127) + b"\0\x80\x7f\xff",
            }
        ),
        pitches=(*PITCHES, 127),
    ),
    of(
        "real-time byte inside a message",
        REPAIR,
        said_within(
            {
                "before its data": b"\0\xb0\xf8\x07\x40",
                "between its data": b"\0\xb0\x07\xfa\x40",
                "two between its data": b"\0\xb0\x07\xf8\xfe\x40",
            }
        ),
    ),
    of(
        "running status missing",
        EITHER,
        {
            "first event": one(b"\0\x3c\x40" + SONG),
            "whole track": one(bytes((0, 60, 64, 0x81, 0x70, 60, 0))),
            "one data byte": one(b"\0\x05" + SONG),
            "second track": header(2) + TRACK + chunk(BARE + END),
            "after a meta": one(meta(1, b"a") + b"\0\x3c\x40" + SONG),
        },
        pitches=None,
        end=None,
    ),
    of(
        "running status after a meta or sysex event",
        REPAIR,
        {
            "text": running_on(meta(1, b"a")),
            "tempo": running_on(meta(0x51, b"\7\xa1\x20")),
            "port": running_on(meta(0x21, b"\0")),
            "sysex": running_on(sysex(b"\x7e\x7f\x09\x01\xf7")),
            "escape": running_on(sysex(b"\xf8", 0xF7)),
            "program": one(b"\0\xc0\5" + meta(1) + b"\0\6" + SONG),
        },
    ),
    of(
        "running status",
        ACCEPT,
        {
            "throughout": running_on(b""),
            "from a status behind a text": one(HEAD + meta(1, b"a") + b"\0\x90" + BARE[1:]),
            "program twice": one(b"\0\xc0\5\0\6" + SONG),
            "off by velocity 0": one(b"".join(on(p) + on(p, 240, velocity=0) for p in PITCHES)),
        },
    ),
    of(
        "stuck notes",
        REPAIR,
        {
            "10 on, 0 off": one(b"".join(on(60 + n) for n in range(10)) + meta(1, b"", 720)),
        },
        pitches=tuple(range(60, 70)),
    ),
    of("stuck notes", REPAIR, {"two on, one off": one(on(60) + on(60, 240) + off(60, 240))}, pitches=(60, 60), end=480),
    of(
        "stuck notes",
        REPAIR,
        {
            "all notes off instead": one(b"".join(map(on, PITCHES)) + b"\x85\x50\xb0\x7b\0"),
            "off on another channel": one(note(60) + note(64) + on(67) + off(67, 240, 1)),
        },
    ),
    of(
        "note-off without a note",
        REPAIR,
        {"before": one(off(60) + SONG), "after": one(SONG + off(60)), "twice": one(HEAD + off(60) + TAIL)},
    ),
    of(
        "notes of no length",
        ACCEPT,
        {"eight": one(b"".join(note(n, length=0) for n in range(60, 68)))},
        pitches=tuple(range(60, 68)),
        end=0,
    ),
    of(
        "overlapping notes of one pitch",
        ACCEPT,
        {
            "two": one(on(60) + on(60, 240) + off(60, 240) + off(60, 240)),
            "begun together": one(on(60) + on(60) + off(60, 240) + off(60, 480)),
            "on two channels": one(on(60) + on(60, 0, 1) + off(60, 360) + off(60, 360, 1)),
        },
        pitches=(60, 60),
    ),
    of("extreme notes", ACCEPT, {"pitches 0 and 127": one(note(0) + note(127))}, pitches=(0, 127), end=480),
    of(
        "extreme notes",
        ACCEPT,
        {"velocities 1 and 127": one(on(60, velocity=127) + on(64, velocity=1) + off(60, 9) + off(64))},
        pitches=(60, 64),
        end=9,
    ),
    of(
        "rare channel message",
        ACCEPT,
        said_within(
            {
                "drums with programs": b"\0\xc9\x10\0\xc9\x19",
                "bank before program": b"\0\xb0\0\1\0\xb0\x20\2\0\xc0\x30",
                "bend range by RPN": b"\0\xb0\x65\0\0\xb0\x64\0\0\xb0\6\x0c\0\xe0\0\x40\0\xe0\x7f\x7f",
                "key aftertouch": b"\0\xa0\x3c\x40",
                "channel aftertouch": b"\0\xd0\x40\0\xd0\x7f",
                "mode messages": b"".join(b"\0\xb0" + bytes((mode, 0)) for mode in range(120, 128)),
            }
        ),
    ),
]


# ---- system messages -------------------------------------------------------------------------------------------

SYSTEM_MESSAGES = [
    of(
        "F1 to FE in a track",
        REPAIR,
        said_within(
            {
                "F1 with its data": b"\0\xf1\x12",
                "F1 without": b"\0\xf1",
                "F2 with its data": b"\0\xf2\x12\x34",
                "F2 without": b"\0\xf2",
                "F3 with its data": b"\0\xf3\x12",
                "F3 without": b"\0\xf3",
                "F1 of data 0": b"\0\xf1\0",
                "F2 of data 0": b"\0\xf2\0\0",
                **{f"{status:02X}": bytes((0, status)) for status in (*range(0xF4, 0xF7), *range(0xF8, 0xFF))},
            }
        ),
    ),
    of("F1 to FE in a track", REPAIR, said_within({"F8 that was waited for": b"\x78\xf8"}), end=840),
    of("F1 to FE in a track", REPAIR, {"FE and a status that runs on": running_on(b"\0\xfe")}),
    of(
        "F1 to FE in a track", EITHER, {"F3 and a status that runs on": running_on(b"\0\xf3\5")}, pitches=None, end=None
    ),
    of(
        "sysex",
        ACCEPT,
        said_within(
            {
                "one message": sysex(b"\x7e\x7f\x09\x01\xf7"),
                "in three packets": sysex(b"\x43\x12\0") + sysex(b"\x43\x12", 0xF7) + sysex(b"\x43\xf7", 0xF7),
                "empty": sysex(b""),
                "only its end": sysex(b"\xf7"),
                "first packet alone": sysex(b"\x43\x12\0"),
                "real-time bytes in an escape": sysex(b"\xf8\xfa", 0xF7),
                "time code in an escape": sysex(b"\xf1\x12", 0xF7),
                "empty escape": sysex(b"", 0xF7),
                "20 kB": sysex(bytes(20_000) + b"\xf7"),
            }
        ),
    ),
    of("sysex of a wrong length", REPAIR, said_within({"past the chunk, with an F7": b"\0\xf0\xff\x7f\x43\x12\xf7"})),
    of(
        "sysex of a wrong length",
        EITHER,
        said_within(
            {
                "past the chunk, without": b"\0\xf0\xff\xff\xff\x7f\x43\x12",
                "no length at all": b"\0\xf0\x7e\x7f\x09\x01\xf7",
                "too short": b"\0\xf0\2\x43\x12\x00\x05\xf7",
            }
        ),
        pitches=None,
        end=None,
    ),
    of("sysex of a wrong length", EITHER, {"at the very end": header() + chunk(SONG + b"\0\xf0\x05\x43")}),
]
