"""The catalogue of odd and damaged MIDI files: FILES. Here are those whose lengths, header or container is odd."""

from __future__ import annotations

from itertools import chain

from tests.score.formats.odd_bytes import (
    ACCEPT,
    EITHER,
    END,
    ERROR,
    HEAD,
    PITCHES,
    REPAIR,
    SONG,
    TRACK,
    WHOLE,
    OddFile,
    chunk,
    header,
    meta,
    note,
    of,
    off,
    on,
    one,
    riff,
    said_first,
    said_within,
)
from tests.score.formats.odd_events import CHANNEL_MESSAGES, META_EVENTS, SYSTEM_MESSAGES, WORDS

# ---- lengths and waits -----------------------------------------------------------------------------------------

CHUNK_SIZES = {
    "last, 1 too long": header() + chunk(SONG + END, size=len(SONG) + 5),
    "last, 1000 too long": header() + chunk(SONG + END, size=1000),
    "last, FFFFFFFF": header() + chunk(SONG + END, size=0xFFFFFFFF),
    "last, 0": header() + chunk(SONG + END, size=0),
    "last, 4": header() + chunk(SONG + END, size=4),
    "last, 1 too short": header() + chunk(SONG + END, size=len(SONG) + 3),
    "last, without the last byte": header() + TRACK[:-1],
    "last, without its end": header() + TRACK[:-4],
}
TWO_CHUNKS = {
    f"first of two, {name}": header(2) + chunk(SONG + END, size=size) + TRACK
    for name, size in {
        "0": 0,
        "4": 4,
        "1 too short": 30,
        "1 too long": 32,
        "8 too long": 39,
        "FFFFFFFF": 2**32 - 1,
    }.items()
}
LENGTHS = [
    of("wrong chunk size", REPAIR, CHUNK_SIZES),
    of("wrong chunk size", REPAIR, TWO_CHUNKS, pitches=(60, 60, 64, 64, 67, 67), n_tracks=2),
    of("missing end of track", REPAIR, {"only track": header() + chunk(SONG)}),
    of(
        "missing end of track",
        REPAIR,
        {
            "all of two": header(2) + chunk(SONG) * 2,
            "first of two": header(2) + chunk(SONG) + TRACK,
            "second of two": header(2) + TRACK + chunk(SONG),
        },
        pitches=(60, 60, 64, 64, 67, 67),
        n_tracks=2,
    ),
    of("missing end of track", REPAIR, {"empty track beside": header(2) + TRACK + chunk()}, n_tracks=1),
    of("missing end of track", REPAIR, {"empty track alone": header() + chunk()}, pitches=(), end=0),
    of(
        "events behind the end of track",
        REPAIR,
        {
            "a note": one(SONG + END + note(72)),
            "a note-on": header() + chunk(SONG + END + on(72)),
            "zeros": header() + chunk(SONG + END + bytes(16)),
            "the end again": one(SONG + END),
        },
    ),
    of(
        "truncated",
        EITHER,
        {
            "in a wait": header() + chunk(SONG + b"\x81"),
            "in a long wait": header() + chunk(SONG + b"\xff\xff\xff"),
            "in a status": header() + chunk(SONG + b"\0\x90"),
            "in a note-on": header() + chunk(SONG + b"\0\x90\x48"),
            "in a meta's kind": header() + chunk(SONG + b"\0\xff"),
            "in a meta's length": header() + chunk(SONG + b"\0\xff\1"),
            "in a meta": header() + chunk(SONG + b"\0\xff\1\x09la"),
            "in a tempo": header() + chunk(SONG + b"\0\xff\x51\3\7"),
            "in the next chunk's name": header(2) + TRACK + b"MTr",
            "in the next chunk's size": header(2) + TRACK + b"MTrk\0\0",
            "behind the next chunk's size": header(2) + TRACK + b"MTrk\0\0\0\x20",
        },
    ),
    of("truncated", EITHER, {"in the song, missing bytes": WHOLE[: 14 + 8 + len(HEAD) + 2]}, pitches=(60,), end=240),
    of("truncated header", ERROR, {"only MThd": b"MThd", **{f"{n} bytes": WHOLE[:n] for n in (1, 3, 8, 13)}}),
    of(
        "padded wait",
        ACCEPT,
        said_first({"3 bytes of 0": b"\x80\x80\0\xc0\1", "4 bytes of 0": b"\x80\x80\x80\0\xc0\1"}),
    ),
    of("wait of five bytes", REPAIR, said_first({"0": b"\x80\x80\x80\x80\0\xc0\1"})),
    of("wait of five bytes", REPAIR, said_first({"60": b"\x80\x80\x80\x80\x3c\xc0\1"}), end=780),
    of(
        "wait of five bytes",
        EITHER,
        said_first({"2**32": b"\x90\x80\x80\x80\0\xc0\1", "ten": b"\x80" * 9 + b"\0\xc0\1"}),
        end=None,
    ),
    of("length of five bytes", REPAIR, said_within({"text": b"\0\xff\1\x80\x80\x80\x80\2la"})),
    of(
        "ages long",
        EITHER,
        {"two notes 2**28 - 1 ticks apart": one(HEAD + on(64, 2**28 - 1) + off(64))},
        pitches=(60, 64),
        end=2**28 + 239,
    ),
    of(
        "ages long",
        EITHER,
        {"three waits of 2**27 in one track": header(2, 1, 32_767) + chunk(meta(1, b"a", 2**27) * 3 + END) + TRACK},
    ),
    of("ages long", EITHER, {"nine waits of 2**28 - 1": one(meta(1, b"", 2**28 - 1) * 9 + SONG)}, end=None),
    of(
        "ages long",
        EITHER,
        {"3600 notes in 16 hours": one(b"".join(on(60) + off(60, 15_360) for _ in range(3600)))},
        pitches=(60,) * 3600,
        end=3600 * 15_360,
        seconds=57_600.0,
    ),
    of("many tracks", ACCEPT, {"600 of nothing": header(601) + TRACK + chunk(END) * 600}, n_tracks=1),
    of("many tracks", EITHER, {"1,100 of nothing": header(1101) + TRACK + chunk(END) * 1100}, n_tracks=1),
    of("many tracks", EITHER, {"30,000 of nothing": header(30_001) + TRACK + chunk(END) * 30_000}, n_tracks=1),
]


# ---- header and container --------------------------------------------------------------------------------------

TWICE = (60, 60, 64, 64, 67, 67)
EXTRA = header(length=10) + b"\1\2\3\4" + TRACK
FRAMES = {24: (0xE814, 1.5), 25: (0xE728, 0.72), 29: (0xE301, 24.02), 30: (0xE250, 0.3)}
CONTAINERS = [
    of(
        "format 2",
        ACCEPT,
        {
            "two patterns": header(2, 2) + TRACK * 2,
            "with a tempo each": header(2, 2)
            + chunk(meta(0x51, b"\7\xa1\x20") + SONG + END)
            + chunk(meta(0x51, b"\x0f\x42\x40") + SONG + END),
        },
        pitches=TWICE,
        end=None,
    ),
    of(
        "format 2",
        ACCEPT,
        {
            "a second name in a pattern": header(2, 2) + TRACK + chunk(SONG + meta(3, b"a") + meta(3, b"b") + END),
        },
        pitches=TWICE,
        end=None,
    ),
    of("format 2", ACCEPT, {"one pattern": header(1, 2) + TRACK}),
    of("format 2", ACCEPT, {"five patterns": header(5, 2) + TRACK * 5}, pitches=tuple(sorted(PITCHES * 5)), end=None),
    of("format 0", ACCEPT, {"one channel": header(1, 0) + TRACK}, n_tracks=1),
    of(
        "format 0",
        ACCEPT,
        {"16 channels": header(1, 0) + chunk(b"".join(note(60, n) for n in range(16)) + END)},
        pitches=(60,) * 16,
        end=16 * 240,
        n_tracks=16,
    ),
    of("format 0 of two tracks", REPAIR, {"two": header(2, 0) + TRACK * 2}, pitches=TWICE, n_tracks=2),
    of("format 1 of one track", ACCEPT, {"one": WHOLE}),
    of("unknown format", EITHER, {"3": header(1, 3) + TRACK, "65535": header(1, 65_535) + TRACK}),
    of(
        "wrong number of tracks",
        REPAIR,
        {"5 of 1": header(5) + TRACK, "0 of 1": header(0) + TRACK, "65535 of 1": header(65_535) + TRACK},
    ),
    of(
        "wrong number of tracks",
        REPAIR,
        {"1 of 2": header(1) + TRACK * 2, "0 of 2": header(0) + TRACK * 2},
        pitches=TWICE,
    ),
    *(
        of("SMPTE time", EITHER, {f"{rate} frames": one(SONG, division)}, seconds=seconds)
        for rate, (division, seconds) in FRAMES.items()
    ),
    of("SMPTE time of no clock", EITHER, {"50 frames": one(SONG, 0xCE28)}, pitches=None, end=None),
    of("SMPTE time of no clock", ERROR, {"0 ticks a frame": one(SONG, 0xE700)}),
    of("division of 0", ERROR, {"format 1": one(SONG, 0), "format 0": header(1, 0, 0) + TRACK}),
    of("extreme division", ACCEPT, {"32767": one(SONG, 32_767), "1": one(SONG, 1)}),
    of("longer header", ACCEPT, {"10 bytes": EXTRA, "7 bytes": header(length=7) + b"\0" + TRACK}),
    of(
        "shorter header",
        EITHER,
        {
            "says 4, has 6": header(length=4) + TRACK,
            "says 0, has 6": header(length=0) + TRACK,
            "says FFFFFFFF": header(length=2**32 - 1) + TRACK,
            "says 8, has 6": header(length=8) + TRACK,
        },
    ),
    of("shorter header", EITHER, {"has 4": header(length=4)[:12] + TRACK}, pitches=None, end=None),
    of(
        "RIFF",
        ACCEPT,
        {
            "plain": riff((b"data", WHOLE)),
            "of odd size": riff((b"data", one(meta(1, b"ab") + SONG))),
            "of even size": riff((b"data", one(meta(1, b"a") + SONG))),
            "names behind": riff((b"data", WHOLE), (b"LIST", b"INFOINAM\2\0\0\0a\0")),
            "names before": riff((b"LIST", b"INFOINAM\2\0\0\0a\0"), (b"data", WHOLE)),
            "sounds behind": riff((b"data", WHOLE), (b"RIFF", b"DLS " + bytes(50))),
            "display name of odd size before": riff((b"DISP", b"\1\0\0\0a"), (b"data", WHOLE)),
        },
        suffix=".rmi",
    ),
    of("RIFF", ACCEPT, {"named .mid": riff((b"data", WHOLE))}),
    of(
        "RIFF of a wrong size",
        EITHER,
        {
            "0 in all": b"RIFF\0\0\0\0RMIDdata" + len(WHOLE).to_bytes(4, "little") + WHOLE,
            "data FFFFFFFF": b"RIFF\xff\xff\xff\xffRMIDdata\xff\xff\xff\xff" + WHOLE,
            "data 0": b"RIFF\0\0\0\0RMIDdata\0\0\0\0" + WHOLE,
        },
        suffix=".rmi",
    ),
    of(
        "RIFF without music",
        ERROR,
        {
            "no data": riff((b"LIST", b"INFO")),
            "empty data": riff((b"data", b"")),
            "sound": riff((b"fmt ", bytes(16)), (b"data", bytes(64)), kind=b"WAVE"),
        },
        suffix=".rmi",
    ),
    of(
        "bytes before the header",
        REPAIR,
        {
            "MacBinary": b"\0\x08song.mid".ljust(65, b"\0") + b"Midi????".ljust(63, b"\0") + WHOLE,
            "three": b"\1\2\3" + WHOLE,
            "white space": b" \r\n\t" + WHOLE,
            "byte order mark": b"\xef\xbb\xbf" + WHOLE,
            "zeros": bytes(512) + WHOLE,
            "a text": b"MIDI file follows: " + WHOLE,
        },
    ),
    of("bytes before the header", EITHER, {"a million": bytes(1_000_000) + WHOLE}),
    of("header said twice", REPAIR, {"alike": header() + WHOLE}),
    of(
        "alien chunk",
        ACCEPT,
        {
            "before": header() + chunk(b"abc", b"Junk") + TRACK,
            "after": WHOLE + chunk(b"abcd", b"XFIH"),
            "empty": header() + chunk(b"", b"Junk") + TRACK,
            "unprintable name": header() + chunk(b"a", b"\0\1\2\3") + TRACK,
        },
    ),
    of(
        "alien chunk",
        ACCEPT,
        {
            "between": header(2) + TRACK + chunk(b"abc", b"XFKM") + TRACK,
            "holding MTrk": header(2) + TRACK + chunk(b"a MTrk b", b"Junk") + TRACK,
        },
        pitches=TWICE,
    ),
    of(
        "bytes behind the last chunk",
        REPAIR,
        {
            "garbage": WHOLE + b"\xde\xad\xbe\xef" * 5,
            "zeros": WHOLE + bytes(100),
            "a line end": WHOLE + b"\r\n",
            "an ID3 tag": WHOLE + b"TAG" + bytes(125),
        },
    ),
    of("two files in one", REPAIR, {"the same": WHOLE * 2, "another": WHOLE + one(note(72))}),
    of(
        "tracks of nothing",
        ACCEPT,
        {
            "a name beside": header(2) + TRACK + chunk(meta(3, b"Empty") + END),
            "an end beside": header(2) + chunk(END) + TRACK,
        },
        n_tracks=1,
    ),
    of(
        "tracks of nothing",
        ACCEPT,
        {"only a tempo": one(meta(0x51, b"\7\xa1\x20")), "only an end": one(b"")},
        pitches=(),
        end=0,
    ),
    of(
        "no MThd",
        ERROR,
        {
            "track alone": TRACK,
            "lower case": WHOLE.lower(),
            "header lost": WHOLE[8:],
            "zeros": bytes(100),
            "text": b"Dear Sir,\n" * 9,
            "lead sheet": b"X:1\nK:C\nCDE|\n",
            "noise": bytes(n * 151 % 251 for n in range(1000)),
        },
    ),
    of("empty", ERROR, {"no bytes": b"", "one zero": b"\0", "a line end": b"\n"}),
    of(
        "header without tracks",
        ERROR,
        {
            "says 1": header(),
            "says 0": header(0),
            "alien chunk": header() + chunk(b"a", b"Junk"),
            "MTrk without a size": header() + b"MTrk",
        },
    ),
    of(
        "another kind of file",
        ERROR,
        {
            "HTML": b"<!DOCTYPE html>\n<html><body>404 Not Found</body></html>",
            "zip": b"PK\3\4\x14\0" + bytes(40) + WHOLE,
            "gzip": b"\x1f\x8b\x08\0" + bytes(30),
            "PNG": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(40),
            "PDF": b"%PDF-1.4\n",
            "MP3": b"ID3\3\0" + bytes(40),
            "XML": b'<?xml version="1.0"?><score-partwise/>',
            "MIDI in Base64": b"TVRoZAAAAAYAAQABAeBNVHJr",
        },
    ),
]

FILES: tuple[OddFile, ...] = tuple(
    chain.from_iterable(chain(META_EVENTS, WORDS, CHANNEL_MESSAGES, SYSTEM_MESSAGES, LENGTHS, CONTAINERS))
)
