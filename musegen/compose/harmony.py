"""Chords that the user gives: read bar by bar, laid over the bars of a piece, and told to the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from musegen.errors import RequestError
from musegen.score.model import Chord
from musegen.score.timing import in_force
from musegen.tokens import VOCABULARY
from musegen.tokens.grid import IntArray
from musegen.tokens.harmony import chord_symbol, parse_chord
from musegen.tokens.state import metre_steps
from musegen.tokens.vocabulary import METRES, NO_CHORD, QUALITIES, STEPS_PER_QUARTER

Word = tuple[int, int]
"""A Chord value and a Bass value, -1 for none."""


@dataclass(frozen=True)
class Harmony:
    """The chords of some bars, repeated as often as needed; at least one in each bar."""

    bars: tuple[tuple[Word, ...], ...]

    def of_bar(self, index: int, metre: int) -> list[tuple[int, int, int]]:
        """(position, Chord, Bass) of the `index`th bar: what changes in it, and in the first its first chord.

        The chords of a bar are spread evenly over its beats, or over its steps where they are more than its beats.

        Raises:
            RequestError: if the bar has not as many steps.
        """
        words = self.bars[index % len(self.bars)]
        beats, steps = METRES[metre][0], metre_steps(metre)
        units = beats if len(words) <= beats else steps
        if len(words) > steps:
            raise RequestError(f"{len(words)} chords do not fit a bar of {beats}/{METRES[metre][1]}; give it fewer")
        before = self.bars[(index - 1) % len(self.bars)][-1] if index else None
        said = []
        for i, word in enumerate(words):
            if word != before:
                at = (2 * i * units + len(words)) // (2 * len(words))  # to the nearest unit
                said.append((at * (steps // units), *word))
            before = word
        return said

    def over(self, first: int, metres: Sequence[int] | IntArray) -> IntArray:
        """(n, 4) of bar, position, Chord, Bass, as a Grid has them, for bars `first` on with these metres."""
        rows = [(first + k, *said) for k, metre in enumerate(metres) for said in self.of_bar(k, int(metre))]
        return np.array(rows, np.int64).reshape(-1, 4)

    def tokens(self, index: int, metre: int) -> list[int]:
        """What says the `index`th bar, after its frame."""
        ids = []
        for position, chord, bass in self.of_bar(index, metre):
            ids += [VOCABULARY.id("Position", position)] if position else []
            ids.append(VOCABULARY.id("Chord", chord))
            ids += [VOCABULARY.id("Bass", bass)] if bass >= 0 else []
        return ids


def parse_chords(bars: Sequence[str]) -> Harmony:
    """The harmony of one text a bar: "Dm7", "G7/B", or several chords with blanks between them.

    Raises:
        RequestError: for an empty bar or a symbol that no word says.
    """
    read = []
    for number, text in enumerate(bars, 1):
        words = text.split()
        if not words:
            raise RequestError(f"bar {number} of the chords is empty; say N where no chord is to sound")
        for word in words:
            if parse_chord(word) is None:
                kinds = ", ".join(quality for quality in QUALITIES if quality)
                raise RequestError(
                    f"unknown chord {word!r} in bar {number}; write a root (C, F#, Bb), then nothing for major or one "
                    f"of {kinds}, and perhaps a bass (G7/B); N is no chord"
                )
        read.append(tuple(found for word in words if (found := parse_chord(word)) is not None))
    return Harmony(tuple(read))


def as_chords(rows: IntArray, lines: IntArray, ticks_per_beat: int) -> tuple[Chord, ...]:
    """Rows of a Grid as chords of a piece with these bar lines."""
    return tuple(
        Chord(
            min(int(lines[bar]) + round(position * ticks_per_beat / STEPS_PER_QUARTER), int(lines[bar + 1]) - 1),
            chord_symbol(int(chord), int(bass)),
        )
        for bar, position, chord, bass in rows
    )


def merged(own: Sequence[Chord], given: Sequence[Chord], start: int, stop: int, end: int) -> tuple[Chord, ...]:
    """A piece's own chords with those of ticks `start` to `stop` (excluded) given; at `stop` its own hold again."""
    after = [chord for chord in own if chord.time >= stop]
    if stop < end and not (after and after[0].time == stop):
        held = in_force(own, stop)
        after.insert(0, Chord(stop, held.symbol if held else chord_symbol(NO_CHORD)))
    return (*(chord for chord in own if chord.time < start), *given, *after)
