"""The Score: symbolic music as immutable values. Every time and duration in it is in ticks.

Notes, controllers and pitch bends are structured NumPy arrays, read-only and sorted, since a piece holds
thousands of them and everything downstream works on whole arrays. What a piece has few of (tempi, metres,
keys, texts) are frozen dataclasses in tuples.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cache
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from musegen.errors import MusegenError

Array = npt.NDArray[Any]

NOTE_DTYPE = np.dtype([("start", "<i8"), ("pitch", "<i2"), ("duration", "<i8"), ("velocity", "<i2")])
"""One note: start and duration in ticks, pitch and velocity as in MIDI (0..127, velocity from 1)."""

CONTROL_DTYPE = np.dtype([("time", "<i8"), ("number", "<i2"), ("value", "<i2")])
"""One controller change, the pedal (number 64) among them; number and value 0..127."""

BEND_DTYPE = np.dtype([("time", "<i8"), ("value", "<i2")])
"""One pitch bend, -8192..8191."""

PROGRAM_DTYPE = np.dtype([("time", "<i8"), ("program", "<i2")])
"""One program change after the track's first; 0..127."""

PRESSURE_DTYPE = np.dtype([("time", "<i8"), ("pitch", "<i2"), ("value", "<i2")])
"""Aftertouch of one key, or of the whole channel where pitch is -1; value 0..127."""

RELEASE_DTYPE = PRESSURE_DTYPE
"""How fast the key of the note of `pitch` that ends at `time` is let go, 0..127; notes without one have 64."""


def frozen(rows: Iterable[Any] | Array, dtype: np.dtype[Any]) -> Array:
    """Return `rows` as a read-only array of `dtype`: notes sorted by all fields, other rows by time alone.

    Controllers at one tick keep their order, since it has a meaning (a parameter's number before its value).
    """
    array = np.asarray(rows if isinstance(rows, np.ndarray) else list(rows), dtype=dtype)
    array = array.take(_order(array))  # a copy; an index would make it field by field, which is slow
    array.flags.writeable = False
    return array


def _order(rows: Array) -> Array:
    """The order in which `frozen` sorts rows; most often they are sorted already, which is cheaper to see."""
    if rows.dtype != NOTE_DTYPE:
        return rows["time"].argsort(kind="stable")
    starts, pitches = rows["start"], rows["pitch"]
    later, together = starts[1:] > starts[:-1], starts[1:] == starts[:-1]
    if (later | (together & (pitches[1:] > pitches[:-1]))).all():
        return np.arange(len(rows))
    return np.lexsort([rows[name] for name in ("velocity", "duration", "pitch", "start")])


@cache
def _empty(dtype: np.dtype[Any]) -> Array:
    return frozen([], dtype)


@dataclass(frozen=True)
class Tempo:
    """A tempo from `time` on, in whole microseconds a quarter note, as MIDI stores it."""

    time: int
    microseconds_per_quarter: int

    @property
    def qpm(self) -> float:
        """Quarter notes a minute."""
        return 60e6 / self.microseconds_per_quarter


@dataclass(frozen=True)
class TimeSignature:
    """A metre from `time` on; `denominator` is a power of two.

    `clocks_per_click` and `thirty_seconds` are what a MIDI file says of the metronome beside it (MIDI clocks a click,
    0 for the note of the denominator; written 32nds a quarter); they are kept, and mean nothing to us.
    """

    time: int
    numerator: int
    denominator: int
    clocks_per_click: int = 0
    thirty_seconds: int = 8

    def ticks_per_bar(self, ticks_per_beat: int) -> int:
        """Length of a bar in ticks (rounded down where the resolution cannot hold it)."""
        return max(1, self.numerator * 4 * ticks_per_beat // self.denominator)


@dataclass(frozen=True)
class KeySignature:
    """A key from `time` on: `fifths` -7 (seven flats) to 7 (seven sharps), `mode` "major" or "minor"."""

    time: int
    fifths: int
    mode: str


@dataclass(frozen=True)
class Chord:
    """A chord symbol from `time` on, such as "Dm7" or "N" for none."""

    time: int
    symbol: str


@dataclass(frozen=True)
class Text:
    """A lyric, marker or other text at `time`."""

    time: int
    text: str


@dataclass(frozen=True)
class MidiEvent:
    """Any other event of a MIDI file at `time`, kept as its bytes without wait and length.

    `data` begins with F0 or F7 (system exclusive, what follows is its payload) or with FF and the kind of the
    meta event.
    """

    time: int
    data: bytes


@dataclass(frozen=True, eq=False)
class Track:
    """One part. `channel` 0..15 is None when the writer may choose; drums sound on channel 9."""

    notes: Array = field(default_factory=lambda: _empty(NOTE_DTYPE))
    program: int = 0
    is_drum: bool = False
    name: str = ""
    channel: int | None = None
    controls: Array = field(default_factory=lambda: _empty(CONTROL_DTYPE))
    bends: Array = field(default_factory=lambda: _empty(BEND_DTYPE))
    program_changes: Array = field(default_factory=lambda: _empty(PROGRAM_DTYPE))
    pressures: Array = field(default_factory=lambda: _empty(PRESSURE_DTYPE))
    releases: Array = field(default_factory=lambda: _empty(RELEASE_DTYPE))
    lyrics: tuple[Text, ...] = ()
    texts: tuple[Text, ...] = ()
    others: tuple[MidiEvent, ...] = ()

    def __post_init__(self) -> None:
        for name, dtype in _TRACK_ARRAYS.items():
            value = getattr(self, name)
            if type(value) is not np.ndarray or value.dtype is not dtype or value.flags.writeable:
                object.__setattr__(self, name, frozen(value, dtype))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Track):
            return NotImplemented
        scalars = ("program", "is_drum", "name", "channel", "lyrics", "texts", "others")
        return all(getattr(self, n) == getattr(other, n) for n in scalars) and all(
            np.array_equal(getattr(self, n), getattr(other, n)) for n in _TRACK_ARRAYS
        )

    __hash__ = None  # type: ignore[assignment]  # arrays are compared by value, so no cheap hash is honest

    @property
    def end(self) -> int:
        """The tick at which the last note ends; 0 without notes."""
        return int((self.notes["start"] + self.notes["duration"]).max(initial=0))


_TRACK_ARRAYS = {
    "notes": NOTE_DTYPE,
    "controls": CONTROL_DTYPE,
    "bends": BEND_DTYPE,
    "program_changes": PROGRAM_DTYPE,
    "pressures": PRESSURE_DTYPE,
    "releases": RELEASE_DTYPE,
}


_TIME = attrgetter("time")


@dataclass(frozen=True)
class Score:
    """A piece. `end` is the tick at which it ends, rests included; 0 means where the last note ends.

    An absent tempo is 120 quarters a minute, an absent metre 4/4, as in the MIDI standard. `texts` are the
    free text events of the conductor track, `others` what else it holds; `chords` are the harmony, one symbol from
    each time on. A pickup is a first metre of one short bar (1/4 before 4/4), as notation programs write it.

    Raises:
        MusegenError: if `ticks_per_beat` (ticks a quarter note) is not positive.
    """

    ticks_per_beat: int = 480
    tracks: tuple[Track, ...] = ()
    tempos: tuple[Tempo, ...] = ()
    time_signatures: tuple[TimeSignature, ...] = ()
    key_signatures: tuple[KeySignature, ...] = ()
    chords: tuple[Chord, ...] = ()
    markers: tuple[Text, ...] = ()
    texts: tuple[Text, ...] = ()
    others: tuple[MidiEvent, ...] = ()
    title: str = ""
    end: int = 0

    def __post_init__(self) -> None:
        if self.ticks_per_beat <= 0:
            raise MusegenError(f"ticks_per_beat is {self.ticks_per_beat}; it must be positive")
        for name in ("tempos", "time_signatures", "key_signatures", "chords", "markers", "texts", "others"):
            events = tuple(getattr(self, name))
            object.__setattr__(self, name, events if len(events) < 2 else tuple(sorted(events, key=_TIME)))
        object.__setattr__(self, "tracks", tuple(self.tracks))
        object.__setattr__(self, "end", max(self.end, self.notes_end))

    __hash__ = None  # type: ignore[assignment]  # holds Tracks

    @property
    def notes_end(self) -> int:
        """The tick at which the last note ends."""
        return max((track.end for track in self.tracks), default=0)

    @property
    def n_notes(self) -> int:
        """How many notes there are in all tracks."""
        return sum(len(track.notes) for track in self.tracks)

    def with_tracks(self, tracks: Iterable[Track]) -> Score:
        """The same frame with other tracks; `end` stays unless the notes pass it."""
        return replace(self, tracks=tuple(tracks))
