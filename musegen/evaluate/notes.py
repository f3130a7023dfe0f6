"""What metrics read off a Score: its notes as one array, its melodic lines, its beats, and places on a grid in bars."""

from __future__ import annotations

import numpy as np

from musegen.evaluate.metric import Array
from musegen.score import timing
from musegen.score.model import NOTE_DTYPE, Score, TimeSignature


def pitched_notes(score: Score) -> Array:
    """The notes of all tracks but drums, (N,), sorted by start, then pitch."""
    return _together([track.notes for track in score.tracks if not track.is_drum])


def all_notes(score: Score) -> Array:
    """The notes of all tracks, drums too, (N,), sorted by start, then pitch."""
    return _together([track.notes for track in score.tracks])


def _together(arrays: list[Array]) -> Array:
    notes = np.concatenate([np.zeros(0, NOTE_DTYPE), *arrays])
    return notes[np.lexsort([notes["pitch"], notes["start"]])] if len(arrays) > 1 else notes


def skyline(notes: Array) -> Array:
    """The highest note at each onset (Uitdenbogerd and Zobel 1998, who call it so); `notes` sorted by start, pitch."""
    if not len(notes):
        return notes
    last_of_its_onset = np.append(notes["start"][1:] != notes["start"][:-1], True)
    return np.asarray(notes[last_of_its_onset])


def lines(score: Score) -> list[Array]:
    """The skyline of each track that has pitches."""
    return [skyline(track.notes) for track in score.tracks if len(track.notes) and not track.is_drum]


def intervals(score: Score) -> Array:
    """Semitones between neighbours of each line, upwards positive, the lines one after the other; rests do not part."""
    steps = [np.diff(line["pitch"].astype(np.int64)) for line in lines(score)]
    return np.concatenate([np.zeros(0, np.int64), *steps])


def inter_onsets(score: Score) -> Array:
    """Quarters between neighbouring onsets of each track, drums too, the tracks one after the other."""
    gaps = [np.diff(np.unique(track.notes["start"])) for track in score.tracks]
    return np.concatenate([np.zeros(0, np.int64), *gaps]) / score.ticks_per_beat


def beat_ticks(metre: TimeSignature, ticks_per_beat: int) -> int:
    """Length of a beat in ticks: the note of the denominator, or three of it in 6/8, 9/8, 12/8, 6/16 and so on."""
    compound = metre.denominator >= 8 and metre.numerator > 3 and metre.numerator % 3 == 0
    return max(1, (3 if compound else 1) * 4 * ticks_per_beat // metre.denominator)


def beat_starts(score: Score) -> Array:
    """The ticks of all beats in the bars of the piece, rising, without the closing bar line."""
    bars = timing.bar_starts(score)
    metres = (timing.DEFAULT_METRE, *score.time_signatures)
    lengths = np.array([beat_ticks(metre, score.ticks_per_beat) for metre in metres], np.int64)
    changes = np.array([metre.time for metre in score.time_signatures], np.int64)
    length = lengths[np.searchsorted(changes, bars[:-1], side="right")]
    counts = -(-np.diff(bars) // length)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.asarray(np.repeat(bars[:-1], counts) + within * np.repeat(length, counts))


def bar_steps(score: Score, steps_per_quarter: int) -> Array:
    """How many steps each bar has, (bars,), at least 1."""
    ticks = np.diff(timing.bar_starts(score))
    return np.maximum(1, _steps(ticks, steps_per_quarter, score.ticks_per_beat))


def on_grid(score: Score, starts: Array, steps_per_quarter: int) -> tuple[Array, Array]:
    """(bar, step in the bar) of each tick of `starts`, to the nearest step.

    What is nearest to the next bar line is step 0 of the next bar; in the last bar it is that bar's last step.
    """
    bars = timing.bar_starts(score)
    bar = np.clip(np.searchsorted(bars, starts, side="right") - 1, 0, len(bars) - 2)
    step = _steps(starts - bars[bar], steps_per_quarter, score.ticks_per_beat)
    size = bar_steps(score, steps_per_quarter)
    over = step >= size[bar]
    last = bar == len(bars) - 2
    step = np.where(over, np.where(last, size[bar] - 1, 0), step)
    return bar + (over & ~last), step


def _steps(ticks: Array, steps_per_quarter: int, ticks_per_beat: int) -> Array:
    """Ticks in steps, halves upwards."""
    return np.asarray((2 * ticks * steps_per_quarter + ticks_per_beat) // (2 * ticks_per_beat))
