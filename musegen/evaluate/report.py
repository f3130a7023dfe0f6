"""A comparison in words, as a table for a terminal, and as what JSON holds."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from musegen.evaluate.compare import Comparison, FeatureReading, Reading
from musegen.evaluate.features import FeatureTable

if TYPE_CHECKING:
    from rich.table import Table

HEADINGS = ("feature", "unit", "generated", "real", "overlap (real)", "KL (real)", "AUC of it alone", "leans on it")
"""Columns of the table; "(real)" is the same figure of real against real."""
JSON_DIGITS = 6
MATTERS = 0.002
"""A feature is named in the summary if its importance is above this."""


def summary(comparison: Comparison) -> list[str]:
    """What the figures say, a sentence each."""
    c = comparison
    leans = [feature.name for feature in c.features if feature.importance > MATTERS][:3]
    told = (
        f"Of a generated and a real piece, a classifier finds which is which in {_percent(c.auc.value)} of 100 pairs "
        f"(AUC {c.auc.value:.2f}, 95 % interval {c.test.low:.2f} to {c.test.high:.2f}; guessing is 50). Of pieces of "
        f"two halves of the real ones, in {_percent(c.auc.real)} ({c.auc.real_low:.2f} to {c.auc.real_high:.2f})."
    )
    second = (
        f"A second, linear classifier: {_percent(c.logistic.value)} of 100, real from real {_percent(c.logistic.real)}."
    )
    frechet = (
        f"Fréchet distance {c.frechet.value:.2f}; of real against real, {c.frechet_pieces} pieces a side here and "
        f"there, {c.frechet.real:.2f} ({c.frechet.real_low:.2f} to {c.frechet.real_high:.2f})."
    )
    leaning = f"The classifier leans most on {', '.join(leans)}." if leans else "It leans on no feature in particular."
    return [
        f"{len(c.generated)} pieces held against {len(c.reference)} real ones, {_excerpt(c.reference)}.",
        told,
        second,
        frechet,
        leaning,
    ]


def _percent(share: float) -> str:
    return f"{100 * share:.0f}"


def _excerpt(table: FeatureTable) -> str:
    return f"the first {table.bars} bars of each" if table.bars else "each as a whole"


def rows(comparison: Comparison) -> list[tuple[str, ...]]:
    """The cells of the table below HEADINGS, one row a feature, what the classifier leans on most first."""
    return [_row(feature) for feature in comparison.features]


def _row(feature: FeatureReading) -> tuple[str, ...]:
    return (
        feature.name, feature.unit, _mean(feature.generated), _mean(feature.reference), _beside(feature.overlap),
        _beside(feature.divergence), _number(feature.auc), f"{feature.importance:+.3f}",
    )  # fmt: skip


def _mean(moments: tuple[float, float, int]) -> str:
    return f"{moments[0]:.3g} ± {moments[1]:.2g}" if math.isfinite(moments[0]) else ""


def _number(value: float) -> str:
    return f"{value:.2f}" if math.isfinite(value) else ""


def _beside(reading: Reading) -> str:
    return f"{reading.value:.2f} ({reading.real:.2f})" if math.isfinite(reading.value) else "too few"


def table(comparison: Comparison) -> Table:
    """The features as a table that rich prints."""
    from rich.table import Table
    from rich.text import Text

    result = Table(box=None, pad_edge=False, header_style="bold")
    for heading in HEADINGS:
        result.add_column(heading, justify="left" if heading in HEADINGS[:2] else "right", no_wrap=True)
    for row in rows(comparison):
        result.add_row(*map(Text, row))  # Text, since a cell is no markup
    return result


def to_dict(comparison: Comparison) -> dict[str, Any]:
    """The whole comparison in what JSON knows; a figure that is undefined is None."""
    c = comparison
    return {
        "generated": _set(c.generated),
        "reference": _set(c.reference),
        "bars": c.reference.bars,
        "seed": c.seed,
        "auc": {**_reading(c.auc), "low": _value(c.test.low), "high": _value(c.test.high)},
        "auc_logistic": _reading(c.logistic),
        "accuracy": _value(c.test.accuracy),
        "frechet": {**_reading(c.frechet), "pieces": c.frechet_pieces},
        "features": {feature.name: _feature(feature) for feature in c.features},
        "ranking": [{"file": name, "likeness": _value(likeness)} for name, likeness in c.ranking],
        "chosen": {word: name for word, name, _ in c.chosen},
    }


def _set(table: FeatureTable) -> dict[str, Any]:
    return {"pieces": len(table), "skipped": dict(table.skipped)}


def _feature(feature: FeatureReading) -> dict[str, Any]:
    def moments(of: tuple[float, float, int]) -> dict[str, Any]:
        return {"mean": _value(of[0]), "sd": _value(of[1]), "pieces": of[2]}

    return {
        "unit": feature.unit,
        "generated": moments(feature.generated),
        "reference": moments(feature.reference),
        "overlap": _reading(feature.overlap),
        "divergence": _reading(feature.divergence),
        "auc": _value(feature.auc),
        "importance": _value(feature.importance),
    }


def _reading(reading: Reading) -> dict[str, Any]:
    return {
        "value": _value(reading.value),
        "real": _value(reading.real),
        "real_low": _value(reading.real_low),
        "real_high": _value(reading.real_high),
    }


def _value(number: float) -> float | None:
    return round(float(number), JSON_DIGITS) if math.isfinite(number) else None
