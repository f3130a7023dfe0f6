"""What odd and damaged MIDI files are made of, byte by byte, and what a reader has to make of each.

What is expected:

- "accept": sound, if rare; every note is read, and nothing is said of changed notes;
- "accept-repair": damaged, and it can be mended; the notes are read and a warning says what was done;
- "either": read or refused in a line, as long as nothing worse happens; what is stated below holds if it is read;
- "error": refused in a line.

The bytes come from the few functions below, not from our own writer, which would make the same mistakes as our reader.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

ACCEPT, REPAIR, EITHER, ERROR = "accept", "accept-repair", "either", "error"
EXPECTATIONS = (ACCEPT, REPAIR, EITHER, ERROR)
_OF_NOTES = re.compile(r"\bnotes?\b|note-off|data byte|cut short|belongs to no event")
"""Remarks that say the notes are not those of the file."""


@dataclass(frozen=True)
class OddFile:
    """A file and what is right to make of it; what is None is not stated.

    Attributes:
        pitches: of all notes, rising.
        end: the tick at which the last note ends.
        n_tracks: how many Tracks have notes.
        seconds: how long the piece lasts.
        text: what the title, a name, a lyric, a marker or a text has to be.
    """

    kind: str
    name: str
    expected: str
    data: bytes
    pitches: tuple[int, ...] | None = None
    end: int | None = None
    n_tracks: int | None = None
    seconds: float | None = None
    text: str | None = None
    suffix: str = ".mid"

    @property
    def n_notes(self) -> int | None:
        return None if self.pitches is None else len(self.pitches)

    def fault(self, n_notes: int | None, seconds: float, remarks: Sequence[str]) -> str:
        """What is wrong with this outcome, "" if nothing; `n_notes` is None where the file was refused in a line."""
        if n_notes is None:
            return "" if self.expected in {EITHER, ERROR} else "refused"
        if self.expected == ERROR:
            return "loaded, though it is no music"
        if self.n_notes not in {None, n_notes}:
            return f"{n_notes} notes, not {self.n_notes}"
        if self.seconds is not None and abs(seconds - self.seconds) > 0.0051:  # as `info` rounds it
            return f"{seconds} seconds, not {self.seconds}"
        if self.expected == REPAIR and not remarks:
            return "no warning"
        if self.expected == ACCEPT and _OF_NOTES.search(" ".join(remarks)):
            return f"said: {remarks[0]}"
        return ""


# ---- bytes -----------------------------------------------------------------------------------------------------

END = b"\0\xff\x2f\0"


def vlq(value: int) -> bytes:
    """A number of variable length."""
    out = [value & 0x7F]
    while value := value >> 7:
        out.insert(0, value & 0x7F | 0x80)
    return bytes(out)


def header(n_tracks: int = 1, midi_format: int = 1, division: int = 480, *, length: int = 6) -> bytes:
    """A header of six bytes; `length` states another."""
    fields = zip((length, midi_format, n_tracks, division), (4, 2, 2, 2), strict=True)
    return b"MThd" + b"".join(value.to_bytes(size, "big") for value, size in fields)


def chunk(body: bytes = b"", name: bytes = b"MTrk", size: int | None = None) -> bytes:
    """A chunk; `size` states another length than it has."""
    return name + (len(body) if size is None else size).to_bytes(4, "big") + body


def one(body: bytes, division: int = 480) -> bytes:
    """A file of one track."""
    return header(division=division) + chunk(body + END)


def meta(kind: int, data: bytes = b"", wait: int = 0) -> bytes:
    return vlq(wait) + bytes((0xFF, kind)) + vlq(len(data)) + data


def sysex(data: bytes, status: int = 0xF0, wait: int = 0) -> bytes:
    return vlq(wait) + bytes((status,)) + vlq(len(data)) + data


def on(pitch: int, wait: int = 0, channel: int = 0, velocity: int = 64) -> bytes:
    return vlq(wait) + bytes((0x90 | channel, pitch, velocity))


def off(pitch: int, wait: int = 0, channel: int = 0) -> bytes:
    return vlq(wait) + bytes((0x80 | channel, pitch, 64))


def note(pitch: int, channel: int = 0, length: int = 240) -> bytes:
    return on(pitch, 0, channel) + off(pitch, length, channel)


def riff(*chunks: tuple[bytes, bytes], kind: bytes = b"RMID") -> bytes:
    body = b"".join(name + len(data).to_bytes(4, "little") + data + bytes(len(data) % 2) for name, data in chunks)
    return b"RIFF" + (4 + len(body)).to_bytes(4, "little") + kind + body


HEAD, TAIL = note(60), note(64) + note(67)
SONG = HEAD + TAIL
"""Three notes, one after the other, with a status each."""
PITCHES = (60, 64, 67)
WHOLE = one(SONG)
TRACK = chunk(SONG + END)


def of(kind: str, expected: str, files: Mapping[str, bytes], **facts: Any) -> list[OddFile]:
    """Files of one kind; where nothing else is said they hold the three notes of SONG."""
    known: dict[str, Any] = {} if expected == ERROR else {"pitches": PITCHES, "end": 720}
    return [OddFile(kind, name, expected, data, **{**known, **facts}) for name, data in files.items()]


def said_first(events: Mapping[str, bytes]) -> dict[str, bytes]:
    """Files in which the song follows an event."""
    return {name: one(event + SONG) for name, event in events.items()}


def said_within(events: Mapping[str, bytes]) -> dict[str, bytes]:
    """Files in which an event stands between the first and the second note of the song."""
    return {name: one(HEAD + event + TAIL) for name, event in events.items()}
