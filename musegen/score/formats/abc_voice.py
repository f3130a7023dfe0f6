"""What of an ABC tune is known while it is read: the tune, and each of its voices; all times in quarters."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from fractions import Fraction

from musegen.score.formats.abc_fields import AbcKey
from musegen.score.formats.abc_repeats import Mark
from musegen.score.formats.options import Limits
from musegen.score.formats.sounds import Dynamics, Sound


@dataclass
class Voice:
    """One voice while it is read; times in quarters."""

    unit: Fraction | None = None
    metre: tuple[int, int] | None = (4, 4)
    key: AbcKey = field(default_factory=AbcKey)
    semitones: int = 0
    name: str = ""
    program: int | None = None
    channel: int | None = None
    time: Fraction = Fraction(0)
    bar: Fraction = Fraction(0)
    overlay: int = 0
    sounds: list[Sound] = field(default_factory=list)
    dynamics: Dynamics = field(default_factory=Dynamics)
    bars: list[Fraction] = field(default_factory=list)
    metres: list[tuple[Fraction, int, int]] = field(default_factory=list)
    keys: list[tuple[Fraction, int, str]] = field(default_factory=list)
    chords: list[tuple[Fraction, str]] = field(default_factory=list)
    lyrics: list[tuple[Fraction, str]] = field(default_factory=list)
    repeats: list[Mark] = field(default_factory=list)
    accidentals: dict[tuple[str, int], int] = field(default_factory=dict)
    line: list[tuple[Fraction, Fraction]] = field(default_factory=list)
    """(time, start of its bar) of the notes that words may go under."""
    last: list[Sound] = field(default_factory=list)
    last_length: Fraction = Fraction(0)
    next_factor: Fraction = Fraction(1)
    tuplet: tuple[int, Fraction] = (0, Fraction(1))

    def copy(self) -> Voice:
        """Another voice that begins as this one."""
        return replace(
            self, sounds=[], dynamics=Dynamics(), bars=[], metres=list(self.metres), keys=list(self.keys), chords=[],
            lyrics=[], repeats=[], accidentals={}, line=[], last=[],
        )  # fmt: skip

    def length(self, factor: Fraction) -> Fraction:
        """A written length in quarters, in its tuplet and beside its dot."""
        result = factor * self.default_length * self.next_factor
        self.next_factor = Fraction(1)
        left, ratio = self.tuplet
        if left:
            self.tuplet = (left - 1, ratio)
            result *= ratio
        return result

    @property
    def default_length(self) -> Fraction:
        """What a note without a number lasts: as L: says, else a sixteenth in metres shorter than 3/4."""
        if self.unit is not None:
            return self.unit
        short = self.metre is not None and 4 * self.metre[0] < 3 * self.metre[1]
        return Fraction(1, 4) if short else Fraction(1, 2)


@dataclass
class Tune:
    """A tune while it is read."""

    limits: Limits
    title: str = ""
    composer: str = ""
    made: str = ""
    """What musegen wrote of how it made the tune."""
    head: Voice = field(default_factory=Voice)
    voices: dict[str, Voice] = field(default_factory=dict)
    current: str = ""
    declared: dict[str, str] = field(default_factory=dict)
    """The V: fields of the head by the voice's name."""
    tempos: list[tuple[Fraction, float]] = field(default_factory=list)
    markers: list[tuple[Fraction, str]] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    in_head: bool = True
    words_fresh: bool = False
    tokens: int = 0

    @property
    def voice(self) -> Voice:
        """The voice that is being written; before the first note it is the model of all."""
        if self.in_head:
            return self.head
        if self.current not in self.voices:
            self.limits.check("tracks", len(self.voices) + 1)
            self.voices[self.current] = self.head.copy()
        return self.voices[self.current]
