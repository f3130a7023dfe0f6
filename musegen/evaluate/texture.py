"""Metrics of texture: how many pitches sound at once, how well they agree with each other and with the chords.

Conventions: drum tracks are left out. Time is in ticks; a pitch that two notes sound at once counts once. The melody
is the skyline of the first track with pitches; chords are those that the piece says, none are guessed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from musegen.evaluate.metric import (
    Array,
    Metric,
    evaluator,
    ratio,
    require_pitched_notes,
    share,
    table,
)
from musegen.evaluate.notes import lines, pitched_notes
from musegen.score.chords import ChordSymbol, parse_symbol
from musegen.score.model import Score

CONSONANT = (0, 3, 4, 5)
"""Interval classes of consonances: unison and octave, thirds, sixths, fifth and fourth. A fourth above the lowest
sounding pitch is a dissonance all the same."""
PROPER = 2
"""Semitones to the next note within which a note outside the chord counts as passing or neighbour."""


@dataclass(frozen=True, eq=False)
class _Sounding:
    """Stretches between changes: `ticks` (S,); and single pitches as stretches first to last - 1 of them, (M,)."""

    ticks: Array
    pitch: Array
    first: Array
    last: Array

    def count(self, which: Array | slice = slice(None)) -> Array:
        """How many of the pitches chosen sound in each stretch, (S,)."""
        n = len(self.ticks) + 1
        changes = np.bincount(self.first[which], minlength=n) - np.bincount(self.last[which], minlength=n)
        return np.asarray(np.cumsum(changes)[:-1])


def _sounding(score: Score) -> _Sounding:
    """What sounds when, notes of one pitch that overlap or touch made into one."""
    notes = pitched_notes(score)
    notes = notes[notes["duration"] > 0]
    notes = notes[np.argsort(notes["pitch"], kind="stable")]
    pitch = notes["pitch"].astype(np.int64)
    end = notes["start"] + notes["duration"]
    octave = int(end.max(initial=0)) + 1  # sets pitches so far apart in time that one running maximum does for all
    reached = np.maximum.accumulate(end + pitch * octave)
    opens = np.append(True, notes["start"][1:] + pitch[1:] * octave > reached[:-1])[: len(notes)]
    begins = np.flatnonzero(opens)
    start, pitch = notes["start"][begins], pitch[begins]
    stop = np.maximum.reduceat(end, begins) if len(begins) else end
    times = np.unique(np.concatenate([start, stop]))
    return _Sounding(np.diff(times), pitch, np.searchsorted(times, start), np.searchsorted(times, stop))


def validate(score: Score) -> None:
    """Raise RequestError unless there is a note with a pitch."""
    require_pitched_notes(score)


def polyphony(score: Score) -> float:
    """Mean number of pitches that sound at once, of the time in which any does, 1 to 128 (Dong et al. 2020)."""
    sounding = _sounding(score)
    count = sounding.count()
    return ratio(count @ sounding.ticks, sounding.ticks @ (count > 0))


def max_polyphony(score: Score) -> float:
    """The most pitches that sound at once, 1 to 128."""
    count = _sounding(score).count()
    return float(count.max()) if count.size else math.nan


def simultaneity_rate(score: Score) -> float:
    """The share of sounding time with at least two pitches, 0 to 1."""
    sounding = _sounding(score)
    count = sounding.count()
    return ratio(sounding.ticks @ (count >= 2), sounding.ticks @ (count > 0))


def polyphony_rate(score: Score) -> float:
    """The share of all time, silence too, with more than two pitches, 0 to 1 (Dong et al. 2018: polyphonicity)."""
    sounding = _sounding(score)
    return ratio(sounding.ticks @ (sounding.count() > 2), score.notes_end) if len(sounding.pitch) else math.nan


def consonance_rate(score: Score) -> float:
    """The share of consonant pairs among all pairs of pitches that sound at once, weighted by time, 0 to 1.

    Consonant are unisons, octaves, thirds, sixths, fifths, and fourths that do not stand on the lowest pitch
    (Aldwell and Schachter, Harmony and Voice Leading), whatever octaves lie between. NaN where no two sound.
    """
    sounding = _sounding(score)
    counts = np.array([sounding.count(sounding.pitch % 12 == pc) for pc in range(12)])
    bass = np.full(len(sounding.ticks), -1)
    for pitch in np.unique(sounding.pitch)[::-1]:
        bass[sounding.count(sounding.pitch == pitch) > 0] = pitch
    n = counts.sum(axis=0)
    consonant = (counts * (counts - 1)).sum(axis=0) // 2
    for interval in CONSONANT[1:]:
        consonant = consonant + (counts * np.roll(counts, -interval, axis=0)).sum(axis=0)
    heard = np.flatnonzero(bass >= 0)
    fourths = np.zeros_like(n)
    fourths[heard] = counts[(bass[heard] + 5) % 12, heard]
    return ratio((consonant - fourths) @ sounding.ticks, (n * (n - 1) // 2) @ sounding.ticks)


def _melody_in_chords(score: Score) -> tuple[Array, Array]:
    """Pitches of the melody (N,), and for each 1 if it is in its chord, 0 if not, -1 if there is no chord to tell."""
    melody = next(iter(lines(score)), None)
    if melody is None or not score.chords:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    masks = np.full((len(score.chords) + 1, 12), -1)
    for row, chord in enumerate(score.chords, 1):
        tones = chord_tones(parse_symbol(chord.symbol))
        if tones:
            masks[row] = [pc in tones for pc in range(12)]
    at = np.searchsorted([chord.time for chord in score.chords], melody["start"], side="right")
    pitch = melody["pitch"].astype(np.int64)
    return pitch, masks[at, pitch % 12]


def chord_tone_rate(score: Score) -> float:
    """The share of melody notes that belong to the chord in force at their onset, 0 to 1.

    Notes before the first chord, under "no chord" or under a symbol that cannot be read are left out; NaN if all are.
    """
    _, within = _melody_in_chords(score)
    return share(within[within >= 0] == 1)


def chord_tone_ratio(score: Score) -> float:
    """Chord tones and proper other notes over all melody notes, (n_c + n_p) / (n_c + n_n), 0 to 1.

    n_p of the n_n notes outside the chord are within two semitones of the next note (after Yeh et al. 2021: CTnCTR).
    """
    pitch, within = _melody_in_chords(score)
    near = np.append(np.abs(np.diff(pitch)) <= PROPER, False)[: len(pitch)]
    told = within >= 0
    return share(((within == 1) | near)[told])


_INTERVALS = {
    "major": (0, 4, 7), "minor": (0, 3, 7), "diminished": (0, 3, 6), "augmented": (0, 4, 8), "power": (0, 7),
    "dominant": (0, 4, 7, 10), "major-seventh": (0, 4, 7, 11), "minor-seventh": (0, 3, 7, 10),
    "diminished-seventh": (0, 3, 6, 9), "half-diminished": (0, 3, 6, 10), "augmented-seventh": (0, 4, 8, 10),
    "major-minor": (0, 3, 7, 11), "major-sixth": (0, 4, 7, 9), "minor-sixth": (0, 3, 7, 9),
    "suspended-fourth": (0, 5, 7), "suspended-second": (0, 2, 7),
    "dominant-ninth": (0, 4, 7, 10, 2), "major-ninth": (0, 4, 7, 11, 2), "minor-ninth": (0, 3, 7, 10, 2),
    "dominant-11th": (0, 4, 7, 10, 2, 5), "major-11th": (0, 4, 7, 11, 2, 5), "minor-11th": (0, 3, 7, 10, 2, 5),
    "dominant-13th": (0, 4, 7, 10, 2, 5, 9), "major-13th": (0, 4, 7, 11, 2, 5, 9),
    "minor-13th": (0, 3, 7, 10, 2, 5, 9),
}  # fmt: skip
"""Semitones above the root of the kinds of musegen.score.chords."""
_LETTERS = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_DEGREES = {1: 0, 2: 2, 3: 4, 4: 5, 5: 7, 6: 9, 7: 10, 8: 0, 9: 2, 10: 4, 11: 5, 12: 7, 13: 9}
"""Semitones of plain degrees; a plain seventh is the minor one, as chord symbols have it."""


def chord_tones(symbol: ChordSymbol | None) -> frozenset[int]:
    """The pitch classes of a chord with its bass; none for "no chord" and for a kind without known notes."""
    if symbol is None or symbol.root is None or symbol.kind not in _INTERVALS:
        return frozenset()
    tones = set(_INTERVALS[symbol.kind])
    for degree in symbol.degrees:
        plain = _DEGREES[degree.number]
        if degree.change != "add":
            tones -= {(plain + shift) % 12 for shift in (-1, 0, 1)}
        if degree.change != "subtract":
            tones.add((plain + degree.alter) % 12)
    names = [symbol.root] if symbol.bass is None else [symbol.root, symbol.bass]
    root, *bass = [_LETTERS[letter] + alteration for letter, alteration in names]
    return frozenset((root + tone) % 12 for tone in tones) | {pc % 12 for pc in bass}


METRICS = table(
    Metric("polyphony", polyphony, "pitches", 1, 128, "Dong et al. 2020", "pitches at once, of the time with any"),
    Metric("max_polyphony", max_polyphony, "pitches", 1, 128, "ours", "most pitches at once"),
    Metric("simultaneity_rate", simultaneity_rate, "share", 0, 1, "ours", "sounding time with two pitches or more"),
    Metric("polyphony_rate", polyphony_rate, "share", 0, 1, "Dong et al. 2018", "all time with more than two pitches"),
    Metric("consonance_rate", consonance_rate, "share", 0, 1, "Aldwell and Schachter", "consonant pairs of pitches"),
    Metric("chord_tone_rate", chord_tone_rate, "share", 0, 1, "ours", "melody notes that belong to the chord"),
    Metric("chord_tone_ratio", chord_tone_ratio, "share", 0, 1, "Yeh et al. 2021",
           "melody notes that belong to the chord or pass by step"),
)  # fmt: skip
"""Metrics of this family by name."""

evaluate = evaluator(METRICS, validate)
"""All metrics of this family; raises as `validate`."""
