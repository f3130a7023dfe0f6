"""Metrics of structure: how much of a piece comes back, at which distance, and whether it is stuck in a loop.

Conventions: all tracks count, drums too. Bars come from the metre map; times are taken to the nearest twelfth of a
quarter from the bar line. Two bars are identical if the same pitches (drums apart from the others) begin at the same
places with the same lengths (drums have none). A bar in which nothing begins is identical to no other. The similarity
of two bars is the cosine of their onsets, |A and B| / sqrt(|A| |B|), A and B being their sets of (place, pitch); it
is 0 if one has none, and pairs in which neither has any are left out. Transposed repetitions do not count.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from musegen.evaluate.metric import Array, Metric, evaluator, ratio, require_notes, share, table
from musegen.evaluate.notes import bar_steps, on_grid
from musegen.score.model import NOTE_DTYPE, Score

STEPS = 12
"""Steps a quarter."""
LAGS = (1, 2, 4, 8, 16)
"""Distances in bars of the metrics of self-similarity."""
LONGEST_LAG = 16
LOOP_PERIOD = 4
"""The longest unit of a loop in bars."""
LOOP_TIMES = 3
"""How often in a row a unit makes a loop."""


@dataclass(frozen=True, eq=False)
class _Bars:
    """Notes on the grid, sorted by bar: (N,) each. `feature` is place and pitch, `length` steps; `n` bars in all."""

    bar: Array
    feature: Array
    length: Array
    n: int


def _bars(score: Score) -> _Bars:
    notes = np.concatenate([np.zeros(0, NOTE_DTYPE), *(track.notes for track in score.tracks)])
    drum = np.repeat([t.is_drum for t in score.tracks], [len(t.notes) for t in score.tracks]).astype(bool)
    bar, step = on_grid(score, notes["start"], STEPS)
    feature = step * 256 + notes["pitch"] + 128 * drum
    length = (2 * notes["duration"] * STEPS + score.ticks_per_beat) // (2 * score.ticks_per_beat) * ~drum
    order = np.lexsort([length, feature, bar])
    return _Bars(bar[order], feature[order], length[order], len(bar_steps(score, STEPS)))


def bar_ids(score: Score) -> Array:
    """(bars,) numbers, equal for identical bars; a bar in which nothing begins has a negative one of its own."""
    bars = _bars(score)
    ids = -1 - np.arange(bars.n)
    content = np.stack([bars.feature, bars.length], axis=1)
    known: dict[bytes, int] = {}
    edges = np.searchsorted(bars.bar, np.arange(bars.n + 1))
    for b in np.flatnonzero(np.diff(edges)):
        ids[b] = known.setdefault(content[edges[b] : edges[b + 1]].tobytes(), len(known))
    return ids


def validate(score: Score) -> None:
    """Raise RequestError unless there is a note."""
    require_notes(score)


@dataclass(frozen=True, eq=False)
class _Onsets:
    """The onsets of each bar without doubles: sorted `keys`, bar * width + feature, and how many a bar has, (bars,)."""

    keys: Array
    width: int
    size: Array


def _onsets(score: Score) -> _Onsets:
    bars = _bars(score)
    width = int(bars.feature.max(initial=0)) + 1
    keys = np.unique(bars.bar * width + bars.feature)
    return _Onsets(keys, width, np.bincount(keys // width, minlength=bars.n).astype(np.float64))


def _lag_similarity(onsets: _Onsets, lag: int) -> float:
    """Mean similarity of bars `lag` apart."""
    keys, n = onsets.keys, len(onsets.size)
    if n <= lag:
        return math.nan
    later = keys + lag * onsets.width
    at = np.searchsorted(keys, later)
    both = keys[: np.searchsorted(at, len(keys))]
    both = both[keys[at[: len(both)]] == later[: len(both)]]
    shared = np.bincount(both // onsets.width, minlength=n)[: n - lag]
    here, there = onsets.size[:-lag], onsets.size[lag:]
    cosine = np.divide(shared, np.sqrt(here * there), out=np.zeros(len(shared)), where=(here > 0) & (there > 0))
    told = (here > 0) | (there > 0)
    return ratio(float(cosine[told].sum()), np.count_nonzero(told))


def self_similarity(score: Score, lag: int) -> float:
    """Mean similarity of bars that are `lag` bars apart, 0 to 1; NaN for a piece that is not longer than that.

    The mean of a diagonal of the self-similarity matrix (Foote 1999).
    """
    return _lag_similarity(_onsets(score), lag)


def best_self_similarity(score: Score) -> float:
    """The highest of the self-similarities at 1 to 16 bars, 0 to 1."""
    return max(_lags(score), default=math.nan)


def best_lag(score: Score) -> float:
    """The distance in bars, 1 to 16, at which a piece is most like itself; of equal ones the smallest."""
    values = _lags(score)
    return float(np.argmax(values) + 1) if values else math.nan


def _lags(score: Score) -> list[float]:
    onsets = _onsets(score)
    values = [_lag_similarity(onsets, lag) for lag in range(1, LONGEST_LAG + 1)]
    return [value for value in values if not math.isnan(value)]


def longest_repeat(score: Score) -> float:
    """Bars of the longest passage that comes again later, note for note and without overlap, 0 upwards."""
    return float(longest_repeated_run(bar_ids(score)))


def longest_repeated_run(ids: Array) -> int:
    """The largest L for which ids[i : i + L] equals ids[j : j + L] with j >= i + L.

    By bisection, since what holds for L holds for L - 1, with ranks of runs doubled in length (Karp, Miller and
    Rosenberg 1972); O(n log2 n log n) in all.
    """
    n = len(ids)
    ranks = [np.unique(ids, return_inverse=True)[1]]  # ranks[k][i] names the run of 2**k ids from i on
    while 2 ** len(ranks) <= n // 2:
        half = 2 ** (len(ranks) - 1)
        pairs = ranks[-1][:-half] * n + ranks[-1][half:]
        ranks.append(np.unique(pairs, return_inverse=True)[1])

    def repeats(length: int) -> bool:
        k = length.bit_length() - 1
        runs = ranks[k][: n - length + 1] * n + ranks[k][length - 2**k : n - 2**k + 1]
        order = np.argsort(runs, kind="stable")
        begins = np.flatnonzero(np.append(True, np.diff(runs[order]) != 0))
        first, last = order[begins], order[np.append(begins[1:], len(order)) - 1]
        return bool((last - first >= length).any())

    low, high = 0, n // 2
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if repeats(middle) else (low, middle - 1)
    return low


def repeated_bar_rate(score: Score) -> float:
    """The share of bars with onsets that are identical to an earlier one, 0 to 1."""
    ids = bar_ids(score)
    ids = ids[ids >= 0]
    return 1 - ratio(len(np.unique(ids)), len(ids))


def loop_rate(score: Score) -> float:
    """The share of bars with onsets that lie in a loop, 0 to 1.

    A loop is a unit of 1 to 4 bars that comes at least three times in a row: a stretch of at least 3 p bars in which
    every bar is identical to the one p bars later, as long as there is one, for a period p of 1 to 4.
    """
    ids = bar_ids(score)
    looped = np.zeros(len(ids), bool)
    for p in range(1, min(LOOP_PERIOD, len(ids) - 1) + 1):
        same = np.concatenate([[False], ids[p:] == ids[:-p], [False]])
        changes = np.flatnonzero(same[1:] != same[:-1]).reshape(-1, 2)
        for start, stop in changes:
            if stop - start >= (LOOP_TIMES - 1) * p:
                looped[start : stop + p] = True
    return share(looped[ids >= 0])


METRICS = table(
    *(
        Metric(f"self_similarity_{lag}", partial(self_similarity, lag=lag), "cosine", 0, 1, "Foote 1999",
               f"likeness of bars {lag} apart")
        for lag in LAGS
    ),
    Metric("best_self_similarity", best_self_similarity, "cosine", 0, 1, "Foote 1999",
           "the highest likeness of bars 1 to 16 apart"),
    Metric("best_lag", best_lag, "bars", 1, LONGEST_LAG, "Foote 1999", "the distance at which it is highest"),
    Metric("longest_repeat", longest_repeat, "bars", 0, math.inf, "ours", "longest passage that comes again exactly"),
    Metric("repeated_bar_rate", repeated_bar_rate, "share", 0, 1, "ours", "bars that were there before"),
    Metric("loop_rate", loop_rate, "share", 0, 1, "ours", "bars in a unit of up to 4 bars, three times in a row"),
)  # fmt: skip
"""Metrics of this family by name."""

evaluate = evaluator(METRICS, validate)
"""All metrics of this family; raises as `validate`."""
