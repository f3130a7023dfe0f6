"""Damaged MIDI bytes -> sound ones: what can be made out is kept, what was done is counted.

Sound stretches are found by the patterns of smf.py and go over as they stand; only at what they refuse is a byte looked
at by itself. The rules:

- What stands before the header is skipped, a RIFF wrapper (.rmi) taken off; another kind of file is refused by name.
- A chunk goes to its end-of-track event, whatever length it states, where that event or the next chunk's name shows the
  length to be wrong. Chunks of other kinds are skipped.
- A data byte above 127 becomes 127. A status of F1 to FE goes, with its data bytes where such follow.
- A data byte that no status owns is skipped, up to the next status.
- A meta event that states no kind or passes the end of the chunk goes.
"""

from __future__ import annotations

import re
from collections import Counter

from musegen.errors import FileFormatError
from musegen.score.formats import smf
from musegen.score.formats.options import Limits

MAX_JUNK = 4096
"""A header is looked for in so many bytes."""
_OTHER_FILES = (
    (b"PK\x03\x04", "a zip archive; unpack it first"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"BZh", "a bzip2 archive; unpack it first"),
    (b"Rar!", "a rar archive; unpack it first"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it first"),
    (b"\x89PNG", "a picture (PNG), not MIDI"),
    (b"%PDF", "a PDF, not MIDI"),
    (b"ID3", "sound (MP3), not MIDI"),
    (b"OggS", "sound (Ogg), not MIDI"),
    (b"fLaC", "sound (FLAC), not MIDI"),
    (b"XMF_", "an XMF container; save what it holds as a MIDI file"),
)
_HTML = re.compile(rb"\s*(?:\xef\xbb\xbf)?\s*<(?:!doctype|html|head|\?xml)", re.IGNORECASE)
_CHUNK_NAME = re.compile(rb"[\x20-\x7e]{4}", re.DOTALL)
_TWO_DATA = frozenset((*range(0x80, 0xC0), *range(0xE0, 0xF0)))
_WAIT = re.compile(rb"[\x80-\xff]*[\x00-\x7f]")
_REAL_TIME = re.compile(rb"(?:([\x00-\x7f])[\xf8-\xfe]+([\x00-\x7f])|[\xf8-\xfe]+([\x00-\x7f]{2}))")
"""Two data bytes with a real-time message before or between them."""
_N_DATA = {0xF1: 1, 0xF2: 2, 0xF3: 1}
"""Data bytes of the system messages that have any."""
_EVENT = re.compile(
    rb"[\x80-\xff]{0,3}[\x00-\x7f]"
    rb"(?:[\x80-\xbf\xe0-\xef][\x00-\x7f]{2}|[\xc0-\xdf][\x00-\x7f]|\xff[\x00-\x7f]|[\xf0\xf7])"
)
"""An event that says its status."""


def repair(data: bytes, limits: Limits) -> tuple[smf.Header, list[bytes], Counter[str]]:
    """Header, sound bodies of the track chunks, and what was done to make them so.

    Raises:
        FileFormatError: if this is no MIDI file, or one without any track.
    """
    remarks: Counter[str] = Counter()
    data = _unwrapped(data, limits, remarks)
    position, header = _header(data, remarks)
    bodies: list[bytes] = []
    chunks = 0
    while position < len(data):
        chunks += 1
        limits.check("tracks", chunks - 1)  # those that are no tracks too
        name, start = data[position : position + 4], position + 8
        stop = start + int.from_bytes(data[position + 4 : start], "big")
        if name == b"MTrk" and start <= len(data):
            track = _Track(data, start, stop, limits, remarks)
            bodies.append(track.body)
            position = track.next
        elif name == b"MThd" and bodies:
            remarks["second MIDI file behind the first, not read"] += 1
            break
        elif name == b"MThd" and stop <= len(data):
            remarks["header said again"] += 1
            position = stop
        elif _CHUNK_NAME.match(name) and stop <= len(data):
            remarks[f"chunk that is no track ({name.decode()}), not read"] += 1
            position = stop
        else:
            position = _next_track(data, position + 1, "byte between chunks", remarks)
    if not bodies:
        raise FileFormatError("the MIDI file has no track")
    return header, bodies, +remarks


def _unwrapped(data: bytes, limits: Limits, remarks: Counter[str]) -> bytes:
    """The bytes from the MIDI header on."""
    if not data:
        raise FileFormatError("the file is empty")
    for magic, what in _OTHER_FILES:
        if data.startswith(magic):
            raise FileFormatError(f"this is {what}")
    if _HTML.match(data):
        raise FileFormatError("this is a web page or XML, not MIDI")
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        raise FileFormatError("this is sound (WAV), not MIDI")
    if data[:4] == b"RIFF" and data[8:12] == b"RMID":
        data = _riff_data(data, limits, remarks)
    begin = data.find(b"MThd", 0, MAX_JUNK)
    if begin < 0:
        raise FileFormatError("not a MIDI file (it has no MThd header)")
    if begin:
        remarks["byte before the header"] += begin
    return data[begin:]


def _riff_data(data: bytes, limits: Limits, remarks: Counter[str]) -> bytes:
    """The data chunk of a RIFF file; the others (a sound font, a copyright) are counted."""
    position, found, chunks = 12, b"", 0
    while position + 8 <= len(data):
        chunks += 1
        limits.check("tracks", chunks)
        name, size = data[position : position + 4], int.from_bytes(data[position + 4 : position + 8], "little")
        if name == b"data" and not found:
            found = data[position + 8 : position + 8 + size]
        elif name.strip(b"\0"):
            remarks["RIFF chunk beside the music, not read"] += 1
        position += 8 + size + size % 2  # chunks stand at even places
    return found or data[12:]


def _header(data: bytes, remarks: Counter[str]) -> tuple[int, smf.Header]:
    """Where the first chunk stands, and the header, of bytes that begin with MThd."""
    if len(data) < 14:
        raise FileFormatError("the MIDI header is cut short")
    stop = 8 + int.from_bytes(data[4:8], "big")
    if stop < 14 or (data[14:18] == b"MTrk" != data[stop : stop + 4]):
        remarks["wrong length of the header"] += stop != 14
        stop = 14
    midi_format, n_tracks, division = (int.from_bytes(data[at : at + 2], "big") for at in (8, 10, 12))
    if division == 0:
        raise FileFormatError("it states 0 ticks per quarter note, so its times mean nothing")
    if midi_format > 2:
        remarks[f"unknown format {midi_format}, read as 1"] += 1
        midi_format = 1
    return stop, smf.Header(midi_format, n_tracks, division)


def _next_track(data: bytes, position: int, what: str, remarks: Counter[str]) -> int:
    """The next place with the name of a track chunk, or the end; what lies before it is counted."""
    found = data.find(b"MTrk", position)
    found = len(data) if found < 0 else found
    remarks[what] += found - position + 1
    return found


class _Track:
    """A track chunk that is being read: the bytes of `data` from `start`, up to `stated` as its header says.

    Attributes:
        body: the sound bytes of its events.
        next: where the next chunk begins.
    """

    def __init__(self, data: bytes, start: int, stated: int, limits: Limits, remarks: Counter[str]) -> None:
        self._data = data
        self._position = start
        self._stop = _possible_stop(data, start, stated)
        self._remarks = remarks
        self._running = 0  # the status that runs on
        self._waited = 0  # what the next event kept has to wait: its own wait and those of events that went
        self._parts: list[bytes] = []
        self._ended = False
        self._no_sysex_end = False
        steps = 0
        while self._position < self._stop and not self._ended:
            if steps > limits.singles:
                limits.stop("singles")
            self._take()
            steps += 1
        if not self._ended:
            self._remarks["missing end of track"] += 1
        self._keep(smf.meta(smf.END_OF_TRACK, b""))
        self.body = b"".join(self._parts)
        self.next = self._find_next(stated)

    def _find_next(self, stated: int) -> int:
        """At the end stated, unless the events or another track say otherwise."""
        stop = min(stated, len(self._data))
        inside = self._data.find(b"MTrk", self._position, stop + 3)
        found = inside if inside >= 0 else max(stop, self._position)
        if found != stated:
            self._remarks["wrong length of a track"] += 1
        self._remarks["byte behind the end of a track"] += max(0, found - self._position)
        return found

    def _take(self) -> None:
        """Take one event, or a run of sound messages."""
        data, position, stop = self._data, self._position, self._stop
        run = None if self._waited else smf.RUN.match(data, position, stop)
        if run and (self._running in _TWO_DATA or smf.says_status(run[0])):
            self._running = smf.last_status(run[0]) or self._running
            self._parts.append(run[0])
            self._position = run.end()
            return
        wait = _WAIT.match(data, position, stop)
        if wait is None:
            self._cut_short()
            return
        self._wait(_number(data, position, wait.end()), len(wait[0]))
        position = wait.end()
        if position >= stop:
            self._cut_short()
        elif data[position] < 0x80:
            self._take_message(position, self._running)
        elif data[position] < smf.SYSEX:
            self._take_message(position + 1, data[position])
        elif data[position] == smf.META:
            self._take_meta(position + 1)
        elif data[position] in (smf.SYSEX, smf.ESCAPE):
            self._take_sysex(position + 1, data[position])
        else:
            self._skip_system(position + 1, data[position])

    def _wait(self, ticks: int, n_bytes: int) -> None:
        if n_bytes > 4:
            self._remarks["wait of more than four bytes"] += 1
            ticks = ticks if ticks <= smf.MAX_DELTA else 0
        self._waited = min(self._waited + ticks, smf.MAX_DELTA)

    def _keep(self, event: bytes) -> None:
        self._parts.append(smf.variable(self._waited) + event)
        self._waited = 0

    def _cut_short(self) -> None:
        self._remarks["event cut short"] += 1
        self._position = self._stop

    def _take_message(self, position: int, status: int) -> None:
        """A channel message whose data stand at `position`; without a status they belong to none."""
        if not status:
            self._resync(position, "byte that belongs to no event")
            return
        n_data = 2 if status in _TWO_DATA else 1
        stop = position + n_data
        if stop > self._stop:
            self._cut_short()
            return
        data = self._data[position:stop]
        between = _REAL_TIME.match(self._data, position, self._stop) if n_data == 2 else None
        if between and not _EVENT.match(self._data, stop) and _EVENT.match(self._data, between.end()):
            self._remarks["system message that no file may hold"] += 1
            data, stop = between[3] or between[1] + between[2], between.end()
        self._remarks["data byte above 127"] += sum(byte > 0x7F for byte in data)
        self._running, self._position = status, stop
        self._keep(bytes((status, *(min(byte, 0x7F) for byte in data))))

    def _take_meta(self, position: int) -> None:
        kind = self._data[position] if position < self._stop else smf.META
        length = _WAIT.match(self._data, position + 1, self._stop)
        if kind == smf.END_OF_TRACK:
            n_bytes = _number(self._data, position + 1, length.end()) if length else 0
            if not length or n_bytes:
                self._remarks["end of track of an impossible length"] += 1
            fits = length is not None and length.end() + n_bytes <= self._stop
            self._position = length.end() + n_bytes if length and fits else position + 1
            self._ended = True
            return
        stop = length.end() + _number(self._data, position + 1, length.end()) if length else self._stop + 1
        if length is None or stop > self._stop:
            self._resync(position, "byte of a meta event that is cut short")
        elif kind >= 0x80 or len(length[0]) > 4:
            self._remarks["impossible meta event"] += 1
            self._position = stop
        else:
            self._position = stop
            self._keep(smf.meta(kind, self._data[length.end() : stop]))

    def _take_sysex(self, position: int, status: int) -> None:
        length = _WAIT.match(self._data, position, self._stop)
        start = length.end() if length else position
        stop = start + _number(self._data, position, start)
        if length is None or stop > self._stop:
            stop = 0 if self._no_sysex_end else self._data.find(b"\xf7", start, self._stop) + 1
            if not stop:
                self._no_sysex_end = True  # nor has any that follows, and to look for it each time would take for ever
                self._resync(position, "byte of a sysex message without an end")
                return
            self._remarks["sysex message of a wrong length"] += 1
        self._position = stop
        self._keep(bytes((status,)) + smf.variable(stop - start) + self._data[start:stop])

    def _skip_system(self, position: int, status: int) -> None:
        """Skip a system message and its data bytes: as many as it has, unless an event stands in their place."""
        self._remarks["system message that no file may hold"] += 1
        most = _N_DATA.get(status, 0)
        while most and not all(byte < 0x80 for byte in self._data[position : position + most]):
            most -= 1
        for n_data in range(most, -1, -1):
            if _EVENT.match(self._data, position + n_data, self._stop):
                most = n_data
                break
        self._position = min(position + most, self._stop)

    def _resync(self, position: int, what: str) -> None:
        """Go on at the next event that says its status."""
        found = _EVENT.search(self._data, position, self._stop)
        self._position = found.start() if found else self._stop
        self._remarks[what] += self._position - position


def _number(data: bytes, start: int, stop: int) -> int:
    """The number of variable length in these bytes; one of more than five counts as MAX_TICK, if it is not padded."""
    cut = max(start, stop - 5)
    return smf.MAX_TICK if data[start:cut].strip(b"\x80") else smf.number(data, cut, stop)


def _possible_stop(data: bytes, start: int, stated: int) -> int:
    """Where a track chunk must end: at the end stated if another chunk begins there, or the next track's name."""
    stop = min(stated, len(data))
    if stop < len(data) and not _CHUNK_NAME.match(data, stop):
        stop = len(data)
    found = data.find(b"MTrk", start, stop)
    return stop if found < 0 else found
