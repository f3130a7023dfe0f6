"""What a caller may choose about reading and writing, and how much a file may ask of a machine."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields, replace
from typing import NoReturn

from musegen.errors import FileFormatError, RequestError
from musegen.score import timing
from musegen.score.model import Score


@dataclass(frozen=True)
class Limits:
    """How much a file may hold; what holds more is refused before anything is built from it.

    A few bytes can ask for hours of silence or gigabytes of text, so each is checked as soon as it is known.
    """

    bytes: int = 64 * 2**20
    """Size of the file, unpacked."""
    tracks: int = 1_000
    """Track chunks, or parts of a score."""
    events: int = 2_500_000
    """MIDI events; for the other formats, elements of the file."""
    singles: int = 300_000
    """MIDI events that are read one by one: meta, sysex, programs, aftertouch of a channel, and damaged ones."""
    notes: int = 1_000_000
    """The longest symphonies have a tenth of it."""
    bars: int = 20_000
    """Bars, empty ones too."""
    seconds: int = 6 * 3600
    """Length; a long opera has five hours."""
    read_seconds: int = 60
    """How long a reader in a process of its own (MusicXML, ABC, kern) may compute."""
    read_bytes: int = 2 * 2**30
    """How much memory it may take."""

    def check(self, name: str, value: float) -> None:
        """Refuse a value above the limit `name`.

        Raises:
            FileFormatError: saying both, and how to raise the limit.
        """
        if value > getattr(self, name):
            self._refuse({name: value})

    def stop(self, name: str) -> NoReturn:
        """Refuse a file that has passed the limit `name` and was not read to its end.

        Raises:
            FileFormatError: saying how to raise the limit.
        """
        raise FileFormatError(f"too much: more than {getattr(self, name)} {name} (--limit {name}=NUMBER allows more)")

    def check_length(self, score: Score) -> None:
        """Refuse a Score of too many bars or seconds.

        Raises:
            FileFormatError: saying how many, and how to raise the limits.
        """
        quarters = score.end / score.ticks_per_beat
        shortest = min((4 * m.numerator / m.denominator for m in score.time_signatures), default=4.0)
        slowest = max((tempo.microseconds_per_quarter for tempo in score.tempos), default=0)
        most_bars = quarters / min(shortest, 4.0) + len(score.time_signatures) + 1
        if most_bars <= self.bars and quarters * max(slowest, 500_000) / 1e6 <= self.seconds:
            return  # by bounds that cost nothing
        found = {"bars": timing.bar_of(score, score.end), "seconds": timing.seconds(score)}
        too_much = {name: value for name, value in found.items() if value > getattr(self, name)}
        if too_much:
            self._refuse(too_much)

    def _refuse(self, found: dict[str, float]) -> NoReturn:
        said = " and ".join(f"{math.ceil(value)} {name}" for name, value in found.items())
        allowed = " and ".join(str(getattr(self, name)) for name in found)
        hint = " ".join(f"--limit {name}={math.ceil(value)}" for name, value in found.items())
        raise FileFormatError(f"too much: {said}, where {allowed} are allowed ({hint} allows it)")

    def raised(self, settings: tuple[str, ...]) -> Limits:
        """These limits with some set anew, each as "bars=50000".

        Raises:
            RequestError: if a setting is none.
        """
        values: dict[str, int] = {}
        for setting in settings:
            name, _, number = setting.partition("=")
            if name not in {limit.name for limit in fields(self)} or not number.isdecimal() or int(number) < 1:
                known = ", ".join(limit.name for limit in fields(self))
                raise RequestError(f"cannot read the limit {setting!r}; write NAME=NUMBER, the names are {known}")
            values[name] = int(number)
        return replace(self, **values)


@dataclass(frozen=True)
class ReadOptions:
    """How a file is read.

    Attributes:
        limits: how much it may hold.
        repeats: play what notation repeats as often as it says (MusicXML, ABC, kern); otherwise once, as written.
    """

    limits: Limits = field(default_factory=Limits)
    repeats: bool = False


@dataclass(frozen=True)
class WriteOptions:
    """How a file is written.

    Attributes:
        midi_format: 1, a chunk for each Track, or 0, all in one.
    """

    midi_format: int = 1

    def __post_init__(self) -> None:
        if self.midi_format not in (0, 1):
            raise RequestError(f"the MIDI format is {self.midi_format}; it is 0 or 1")
