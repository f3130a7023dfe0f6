"""Motifs as text: "D4:1 F#4:1/2 A4:1/2 r:1 D5:2" to notes.

A motif is words between blanks, each `pitch:quarters`. A pitch is a letter, an accidental and an octave
(C4 is middle C); `r` is a rest; `C4+E4+G4` sounds together. Quarters are whole (2), decimal (1.5) or a
fraction (1/3), and are reckoned exactly.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from musegen.errors import RequestError
from musegen.score.model import NOTE_DTYPE, Array, frozen
from musegen.score.theory import parse_pitch

_EXPECTED = "write pitch:quarters, such as F#4:1/2, r:1 for a rest or C4+E4+G4:2 for a chord"
_QUARTERS = re.compile(r"\d{1,4}(\.\d{1,6})?|\d{0,4}\.\d{1,6}|\d{1,4}/0*[1-9]\d{0,3}", re.ASCII)


@dataclass(frozen=True, eq=False)
class Motif:
    """Notes (NOTE_DTYPE, in ticks from 0) and the whole length in ticks, rests at the end included."""

    notes: Array
    length: int


def parse_motif(text: str, ticks_per_beat: int = 480, *, velocity: int = 80) -> Motif:
    """Read a motif; every note gets `velocity`.

    Raises:
        RequestError: naming the word and where it stands (counted from 1), if a word is not `pitch:quarters`,
            a pitch is out of MIDI's range or a length is nothing or falls between two ticks; also if there
            is no note at all.
    """
    rows: list[tuple[int, int, int, int]] = []
    time = 0
    for count, match in enumerate(re.finditer(r"\S+", text), start=1):
        word = match.group()
        try:
            pitches, duration = _parse_word(word, ticks_per_beat)
        except RequestError as error:
            place = f"at position {match.start() + 1} (word {count})"
            raise RequestError(f'motif: "{word}" {place}: {error}; {_EXPECTED}') from None
        rows += [(time, pitch, duration, velocity) for pitch in pitches]
        time += duration
    if not rows:
        raise RequestError(f"motif: there is no note in it; {_EXPECTED}")
    return Motif(frozen(rows, NOTE_DTYPE), time)


def _parse_word(word: str, ticks_per_beat: int) -> tuple[list[int], int]:
    """The pitches (none for a rest) and the duration in ticks."""
    sound, colon, quarters = word.partition(":")
    if not colon:
        raise RequestError("the length is missing")
    pitches = [] if sound in ("r", "R") else [parse_pitch(name) for name in sound.split("+")]
    if len(set(pitches)) < len(pitches):
        raise RequestError("a pitch stands twice in the chord")
    return pitches, _ticks(quarters, ticks_per_beat)


def _ticks(quarters: str, ticks_per_beat: int) -> int:
    if not _QUARTERS.fullmatch(quarters):
        raise RequestError(f'"{quarters}" is not a number of quarters')
    ticks = Fraction(quarters) * ticks_per_beat
    if ticks <= 0:
        raise RequestError("the length must be more than 0")
    if ticks.denominator != 1:
        raise RequestError(f"{quarters} of a quarter falls between two ticks ({ticks_per_beat} to the quarter)")
    return int(ticks)
