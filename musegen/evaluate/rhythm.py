"""Metrics of rhythm: how dense, how even, how much alike from bar to bar, on which places of the beat.

Conventions: drum tracks count here. Lengths are in quarters, so tempo does not matter but where a metric says
seconds. Beats and bars come from the metre map: a beat is the note of the denominator, or three of it in compound
metres (6/8, 9/8, 12/8). The piece lasts from its first bar line to the end of its last note.
"""

from __future__ import annotations

import math

import numpy as np

from musegen.evaluate.metric import (
    Array,
    Histogram,
    Metric,
    entropy,
    evaluator,
    mean,
    normalised,
    ratio,
    require_notes,
    share,
    table,
)
from musegen.evaluate.notes import all_notes, bar_steps, beat_starts, inter_onsets, on_grid
from musegen.score import timing
from musegen.score.model import Score

NOTE_VALUES = (1 / 8, 1 / 6, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 4, 1, 4 / 3, 3 / 2, 2, 3, 4, 6, 8)
"""Bins of lengths in quarters, from a 32nd to two whole notes, triplets and dots among them. A length is in the bin
whose value is nearest in the logarithm; what is shorter or longer than all is in the outer bins."""
SIXTEENTHS = 24
"""Bins of places in a bar, in sixteenths from the bar line; later places share the last."""
GROOVE_STEPS = 16
"""Steps a quarter of a bar's onset pattern: 64 a bar of 4/4, as Wu and Yang have it."""
FINEST = 12
"""Steps a quarter that hold sixteenths and triplets."""


def validate(score: Score) -> None:
    """Raise RequestError unless there is a note."""
    require_notes(score)


def note_density(score: Score) -> float:
    """Notes a quarter, 0 upwards: all notes over the length of the piece."""
    return ratio(score.n_notes * score.ticks_per_beat, score.notes_end)


def notes_per_second(score: Score) -> float:
    """Notes a second, 0 upwards, by the tempo map."""
    return ratio(score.n_notes, float(timing.tick_to_second(score, score.notes_end)))


def _spans(score: Score, edges: Array) -> Array:
    """Which of the stretches that begin at `edges` have a sounding note, of those that begin before the last end."""
    notes = all_notes(score)
    n = max(1, int(np.searchsorted(edges, score.notes_end)))
    end = np.maximum(notes["start"] + notes["duration"] - 1, notes["start"])
    first = np.clip(np.searchsorted(edges, notes["start"], side="right") - 1, 0, n - 1)
    last = np.clip(np.searchsorted(edges, end, side="right") - 1, 0, n - 1)
    changes = np.bincount(first, minlength=n + 1) - np.bincount(last + 1, minlength=n + 1)
    return np.asarray(np.cumsum(changes)[:n] > 0)


def empty_beat_rate(score: Score) -> float:
    """The share of beats in which no note sounds, 0 to 1 (Dong et al. 2018 and 2020).

    A note that ends on a beat does not sound in it, and no beat begins where the piece ends.
    """
    return 1 - share(_spans(score, beat_starts(score))) if score.n_notes else math.nan


def empty_bar_rate(score: Score) -> float:
    """The share of bars in which no note sounds, 0 to 1 (Dong et al. 2018)."""
    return 1 - share(_spans(score, timing.bar_starts(score)[:-1])) if score.n_notes else math.nan


def _patterns(score: Score, steps_per_quarter: int) -> tuple[Array, Array]:
    """(bars, steps) whether a note begins there, and how many steps each bar has, (bars,)."""
    size = bar_steps(score, steps_per_quarter)
    patterns = np.zeros((len(size), int(size.max(initial=1))), bool)
    if len(size):
        patterns[on_grid(score, all_notes(score)["start"], steps_per_quarter)] = True
    return patterns, size


def groove_consistency(score: Score, steps_per_quarter: int = GROOVE_STEPS) -> float:
    """How much alike the onset patterns of neighbouring bars are, 0 to 1 (Dong et al. 2020).

    The mean over neighbours of equal length of 1 - |G_i xor G_i+1| / Q, where G_i is the bar's binary vector of
    onsets and Q its number of steps. NaN without two neighbours of equal length.
    """
    patterns, size = _patterns(score, steps_per_quarter)
    distance = np.count_nonzero(patterns[1:] != patterns[:-1], axis=1) / size[1:]
    return mean(1 - distance[size[1:] == size[:-1]])


def groove_similarity(score: Score) -> float:
    """How much alike the onset patterns of all pairs of bars are, 0 to 1 (Wu and Yang 2020).

    As `groove_consistency` over all pairs of bars of equal length. k_q of n bars have an onset at step q; they make
    k_q (n - k_q) differing pairs, so that no pair has to be looked at.
    """
    patterns, size = _patterns(score, GROOVE_STEPS)
    differing, pairs = 0.0, 0
    for q in np.unique(size):
        bars = patterns[size == q]
        n, k = len(bars), bars.sum(axis=0)
        differing += float((k * (n - k)).sum()) / int(q)
        pairs += n * (n - 1) // 2
    return 1 - ratio(differing, pairs)


def mean_duration(score: Score) -> float:
    """Mean length of the notes of tracks with pitches in quarters, 0 upwards; drums have no length that is heard."""
    return mean(_durations(score))


def mean_inter_onset(score: Score) -> float:
    """Mean time between neighbouring onsets of a track in quarters, 0 upwards (Yang and Lerch 2020, in seconds)."""
    return mean(inter_onsets(score))


def _durations(score: Score) -> Array:
    ticks = [track.notes["duration"] for track in score.tracks if not track.is_drum]
    return np.concatenate([np.zeros(0, np.int64), *ticks]) / score.ticks_per_beat


def _binned(quarters: Array) -> Array:
    values = np.array(NOTE_VALUES)
    edges = np.sqrt(values[1:] * values[:-1])
    return np.bincount(np.searchsorted(edges, quarters), minlength=len(values))


def duration_entropy(score: Score) -> float:
    """Entropy of the lengths of notes in the bins of NOTE_VALUES, bits, 0 to log2 15."""
    return entropy(_binned(_durations(score)))


def inter_onset_entropy(score: Score) -> float:
    """Entropy of the times between onsets in the bins of NOTE_VALUES, bits, 0 to log2 15."""
    return entropy(_binned(inter_onsets(score)))


def on_beat_rate(score: Score) -> float:
    """The share of notes that begin on a beat, to the nearest twelfth of a quarter, 0 to 1."""
    notes = all_notes(score)
    if not len(notes):
        return math.nan
    beat_bar, beat_step = on_grid(score, beat_starts(score), FINEST)
    bar, step = on_grid(score, notes["start"], FINEST)
    width = int(bar_steps(score, FINEST).max()) + 1
    return share(np.isin(bar * width + step, beat_bar * width + beat_step))


def on_grid_rate(score: Score) -> float:
    """The share of notes that begin within 1/96 of a quarter of a sixteenth or a triplet eighth, 0 to 1.

    Counted from the bar line. Written music is near 1, what was played and recorded lower.
    """
    starts = all_notes(score)["start"]
    bars = timing.bar_starts(score)
    if not len(starts):
        return math.nan
    bar = np.clip(np.searchsorted(bars, starts, side="right") - 1, 0, len(bars) - 2)
    quarters = np.minimum(starts - bars[bar], bars[bar + 1] - starts) / score.ticks_per_beat
    off = np.minimum(
        np.abs(quarters * 4 - np.round(quarters * 4)) / 4, np.abs(quarters * 3 - np.round(quarters * 3)) / 3
    )
    return share(off <= 1 / 96 + 1e-9)


def drum_pattern_consistency(score: Score) -> float:
    """The share of drum notes exactly on sixteenths, or, if that is more, on triplets, 0 to 1 (Dong et al. 2018, DP).

    Counted from tick 0; NaN without drums.
    """
    ticks = np.concatenate([np.zeros(0, np.int64), *(t.notes["start"] for t in score.tracks if t.is_drum)])
    rates = [share(ticks * parts % score.ticks_per_beat == 0) for parts in (4, 3)]
    return max(rates)


def duration_histogram(score: Score) -> Array:
    """Share of each length of pitched notes in the bins of NOTE_VALUES, (15,)."""
    return normalised(_binned(_durations(score)))


def inter_onset_histogram(score: Score) -> Array:
    """Share of each time between neighbouring onsets of a track in the bins of NOTE_VALUES, (15,)."""
    return normalised(_binned(inter_onsets(score)))


def position_histogram(score: Score) -> Array:
    """Share of notes at each sixteenth of the bar, counted from the bar line, (24,)."""
    _, step = on_grid(score, all_notes(score)["start"], 4)
    return normalised(np.bincount(np.minimum(step, SIXTEENTHS - 1), minlength=SIXTEENTHS))


METRICS = table(
    Metric("note_density", note_density, "notes a quarter", 0, math.inf, "ours", "how many notes"),
    Metric("notes_per_second", notes_per_second, "notes a second", 0, math.inf, "ours", "how many notes as heard"),
    Metric("empty_beat_rate", empty_beat_rate, "share", 0, 1, "Dong et al. 2018", "beats in which nothing sounds"),
    Metric("empty_bar_rate", empty_bar_rate, "share", 0, 1, "Dong et al. 2018", "bars in which nothing sounds"),
    Metric("groove_consistency", groove_consistency, "share", 0, 1, "Dong et al. 2020",
           "likeness of onset patterns of neighbouring bars"),
    Metric("groove_similarity", groove_similarity, "share", 0, 1, "Wu and Yang 2020",
           "likeness of onset patterns of all pairs of bars"),
    Metric("mean_duration", mean_duration, "quarters", 0, math.inf, "ours", "length of notes"),
    Metric("mean_inter_onset", mean_inter_onset, "quarters", 0, math.inf, "Yang and Lerch 2020", "time between onsets"),
    Metric("duration_entropy", duration_entropy, "bits", 0, math.log2(len(NOTE_VALUES)), "ours", "spread of lengths"),
    Metric("inter_onset_entropy", inter_onset_entropy, "bits", 0, math.log2(len(NOTE_VALUES)), "ours",
           "spread of times between onsets"),
    Metric("on_beat_rate", on_beat_rate, "share", 0, 1, "ours", "notes that begin on a beat"),
    Metric("on_grid_rate", on_grid_rate, "share", 0, 1, "ours", "notes that begin on a sixteenth or triplet"),
    Metric("drum_pattern_consistency", drum_pattern_consistency, "share", 0, 1, "Dong et al. 2018",
           "drum notes on one of two grids"),
)  # fmt: skip
"""Metrics of this family by name."""

HISTOGRAMS: dict[str, Histogram] = {
    "duration": duration_histogram,
    "inter_onset": inter_onset_histogram,
    "position": position_histogram,
}
"""Histograms of this family by name."""

evaluate = evaluator(METRICS, validate)
"""All metrics of this family; raises as `validate`."""
