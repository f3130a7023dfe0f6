"""Metrics of a piece, all families together, for one Score or for many files.

Conventions: see the families (pitch, rhythm, texture, structure, voices). A metric that a piece does not define is
NaN (voice leading without four voices, pitch of drums, a key that nobody said); only a piece without notes is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from musegen.errors import RequestError
from musegen.evaluate import pitch, rhythm, structure, texture, voices
from musegen.evaluate.files import map_files, music_files
from musegen.evaluate.metric import Array, Histogram, Metric, measure, require_notes
from musegen.score.model import Score

__all__ = [
    "HISTOGRAMS", "METRICS", "Summary", "chosen", "evaluate", "evaluate_files", "histograms", "map_files",
    "music_files", "summarise", "validate",
]  # fmt: skip

METRICS: dict[str, Metric] = {
    **pitch.METRICS,
    **rhythm.METRICS,
    **texture.METRICS,
    **structure.METRICS,
    **voices.METRICS,
}
"""Every metric by name, family by family."""

HISTOGRAMS: dict[str, Histogram] = {**pitch.HISTOGRAMS, **rhythm.HISTOGRAMS}
"""Every histogram by name: a Score to an array of fixed length that sums to 1, or is NaN where it has no meaning."""


def validate(score: Score) -> None:
    """Raise RequestError for a piece without notes."""
    require_notes(score)


def chosen(names: Sequence[str] | None) -> dict[str, Metric]:
    """The metrics of these names, all of them for None.

    Raises:
        RequestError: for a name that is none, listing those there are.
    """
    if names is None:
        return METRICS
    for name in names:
        if name not in METRICS:
            raise RequestError(f"unknown metric {name!r}; there are {', '.join(METRICS)}")
    return {name: METRICS[name] for name in names}


def evaluate(score: Score, names: Sequence[str] | None = None) -> dict[str, float]:
    """The metrics of these names (all for None) of one piece; NaN where one has no meaning for it.

    Raises:
        RequestError: for an unknown name, or a piece without notes.
    """
    metrics = chosen(names)
    validate(score)
    return measure(metrics, score)


def histograms(score: Score) -> dict[str, Array]:
    """All histograms of one piece.

    Raises:
        RequestError: for a piece without notes.
    """
    validate(score)
    return {name: histogram(score) for name, histogram in HISTOGRAMS.items()}


def evaluate_files(
    paths: Sequence[Path | str], names: Sequence[str] | None = None, *, workers: int = 1
) -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    """The metrics of the piece in each file, and for files that could not be measured the reason, by path.

    Args:
        paths: files, such as `music_files` finds.
        names: which metrics, all for None.
        workers: processes.

    Raises:
        RequestError: for an unknown name.
    """
    chosen(names)
    return map_files(partial(evaluate, names=names), paths, workers=workers)


@dataclass(frozen=True)
class Summary:
    """One metric over the `n` pieces for which it is defined; NaN if there are none.

    `sd` is the standard deviation of these pieces (divided by n); `unit` that of the metric.
    """

    mean: float
    sd: float
    min: float
    median: float
    max: float
    n: int
    unit: str


def summarise(results: Mapping[str, Mapping[str, float]]) -> dict[str, Summary]:
    """A Summary of each metric in the results of `evaluate_files`."""
    names = next(iter(results.values()), {})
    return {name: _summary(np.array([values[name] for values in results.values()]), name) for name in names}


def _summary(values: Array, name: str) -> Summary:
    defined = values[~np.isnan(values)]
    figures = [math.nan] * 5
    if defined.size:
        figures = [float(f(defined)) for f in (np.mean, np.std, np.min, np.median, np.max)]
    mean, sd, low, median, high = figures
    return Summary(mean, sd, low, median, high, defined.size, METRICS[name].unit)
