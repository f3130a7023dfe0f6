"""What every metric of a piece is made of: its name, formula, unit, range and source, and the arithmetic they share.

Conventions: a metric is a pure function of a Score. What is not defined for a piece (an interval of one note, a
key that nobody said) is NaN, never 0. Entropies are in bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from musegen.errors import RequestError
from musegen.score.model import Score

Array = npt.NDArray[Any]
Histogram = Callable[[Score], Array]
"""A Score to an array of fixed length that sums to 1, or is NaN throughout where there is nothing to count."""


@dataclass(frozen=True)
class Metric:
    """One metric of a piece: `function` gives a value of `low` to `high` in `unit`, or NaN where it has no meaning."""

    name: str
    function: Callable[[Score], float]
    unit: str
    low: float
    high: float
    source: str
    description: str

    def __call__(self, score: Score) -> float:
        """The value for one piece."""
        return self.function(score)


def table(*metrics: Metric) -> dict[str, Metric]:
    """Metrics by name, in their order."""
    return {metric.name: metric for metric in metrics}


def measure(metrics: Mapping[str, Metric], score: Score) -> dict[str, float]:
    """The value of each metric."""
    return {name: float(metric.function(score)) for name, metric in metrics.items()}


def evaluator(metrics: Mapping[str, Metric], validate: Callable[[Score], None]) -> Callable[[Score], dict[str, float]]:
    """The `evaluate` of a family: a Score that passes `validate` to the value of each of its metrics, by name."""

    def evaluate(score: Score) -> dict[str, float]:
        validate(score)
        return measure(metrics, score)

    return evaluate


def require_notes(score: Score) -> None:
    """Raise RequestError for a piece without notes."""
    if not score.n_notes:
        raise RequestError("holds no notes; there is nothing to measure")


def require_pitched_notes(score: Score) -> None:
    """Raise RequestError for a piece without notes, or with drums only."""
    require_notes(score)
    if all(track.is_drum or not len(track.notes) for track in score.tracks):
        raise RequestError("holds only drums; metrics of pitch need a track with pitches")


def ratio(part: Any, whole: Any) -> float:
    """A part of a whole, both numbers of Python or NumPy; NaN where the whole is 0."""
    return float(part) / float(whole) if whole else math.nan


def share(holds: Array) -> float:
    """The share of true values; NaN of none."""
    return ratio(np.count_nonzero(holds), holds.size)


def mean(values: Array) -> float:
    """The mean; NaN of no values."""
    return float(values.mean()) if values.size else math.nan


def normalised(counts: Array) -> Array:
    """Counts as shares of their sum; NaN throughout where there are none."""
    total = counts.sum()
    return counts / total if total else np.full(counts.shape, math.nan)


def entropy(counts: Array) -> float:
    """Shannon's entropy of counts in bits, -sum p log2 p with p = count / sum; NaN without counts."""
    p = normalised(counts[counts > 0].astype(np.float64))
    return abs(float(-(p * np.log2(p)).sum())) if p.size else math.nan  # abs: of one kind it is 0, not -0
