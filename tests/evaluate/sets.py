"""Sets of made-up pieces to be compared, quick to measure."""

from __future__ import annotations

from functools import cache

from musegen.evaluate.compare import Comparison, evaluate
from musegen.evaluate.features import FeatureTable, measure_scores
from musegen.score.model import Score
from tests.tiny_corpus import tune

SPLITS = 2
BARS = 8


def scores(first: int, n: int, voices: int) -> dict[str, Score]:
    return {f"{voices} voices/{seed:03d}.mid": tune(seed, bars=BARS, voices=voices) for seed in range(first, first + n)}


@cache
def table(first: int, n: int, voices: int = 1) -> FeatureTable:
    return measure_scores(scores(first, n, voices), bars=BARS)


@cache
def alike() -> Comparison:
    """Two sets of one source."""
    return evaluate(table(0, 40), table(100, 60), splits=SPLITS)


@cache
def apart() -> Comparison:
    """Single lines against pieces of two voices."""
    return evaluate(table(0, 24), table(100, 44, 2), splits=SPLITS)
