"""A set against another, and real against real."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from musegen.errors import RequestError
from musegen.evaluate.compare import FRECHET_SCALARS, Comparison, _halves, evaluate, real_against_real, standardised
from musegen.evaluate.features import SCALARS, FeatureTable
from musegen.evaluate.report import to_dict
from tests.evaluate.sets import SPLITS, alike, apart, table


def shuffled(of: FeatureTable, seed: int) -> FeatureTable:
    return of.take(np.random.default_rng(seed).permutation(len(of)))


def feature(comparison: Comparison, name: str) -> tuple[float, float]:
    found = next(f for f in comparison.features if f.name == name)
    return found.overlap.value, found.auc


def test_sets_of_one_source_stand_where_real_against_real_does() -> None:
    c = alike()
    assert 0.35 < c.auc.value < 0.65
    assert c.auc.real_low <= c.auc.real <= c.auc.real_high
    assert c.frechet.value < 2 * c.frechet.real
    assert feature(c, "mean_interval")[0] > 0.85
    assert 0.35 < feature(c, "mean_interval")[1] < 0.65


def test_sets_of_two_kinds_stand_far_from_it() -> None:
    c = apart()
    assert c.auc.value == c.logistic.value == 1
    assert c.frechet.value > 3 * c.frechet.real
    assert feature(c, "note_density")[0] < 0.5
    assert feature(c, "note_density")[1] == 0
    assert max(probability for _, probability in c.ranking) < 0.5


def test_a_set_against_itself_cannot_be_told_apart() -> None:
    real = table(100, 44, 2)
    c = evaluate(real, real, splits=SPLITS)
    assert c.auc.value == pytest.approx(0.5, abs=0.02)
    assert c.frechet.value < 2 * c.frechet.real
    assert feature(c, "mean_interval")[0] > 0.95


def test_the_order_of_the_pieces_does_not_matter_and_figures_come_again() -> None:
    again = evaluate(shuffled(table(0, 24), 1), shuffled(table(100, 44, 2), 2), splits=SPLITS)
    assert to_dict(again) == to_dict(apart())


def test_frechet_is_of_equally_many_pieces() -> None:
    assert apart().frechet_pieces == 22  # halves of 44
    assert real_against_real(table(0, 40), splits=SPLITS, most=15).pieces == 15


def test_best_median_and_worst_are_of_the_ranking() -> None:
    c = alike()
    chances = [probability for _, probability in c.ranking]
    assert chances == sorted(chances, reverse=True)
    assert {name for name, _ in c.ranking} == set(c.generated.names)
    assert [word for word, _, _ in c.chosen] == ["best", "median", "worst"]
    assert [c.chosen[0][1:], c.chosen[2][1:]] == [c.ranking[0], c.ranking[-1]]


def test_what_too_few_pieces_have_has_no_overlap() -> None:
    for name in ("parallel_fifths", "harmonic_interval"):
        found = next(f for f in apart().features if f.name == name)
        assert math.isnan(found.overlap.value)
        assert found.generated[2] == 0


def test_halves_keep_works_whole_and_are_as_large_as_each_other() -> None:
    groups = ("a",) * 6 + ("b",) * 5 + tuple("cdefghijklm")
    splits = list(_halves(groups, 0, 8))
    assert len({tuple(a) for a, _ in splits}) > 4
    for a, b in splits:
        assert sorted([*a, *b]) == list(range(22))
        assert not {groups[i] for i in a} & {groups[i] for i in b}
        assert len(a) == len(b) == 11
    with pytest.raises(RequestError, match="one work"):
        next(_halves(("a",) * 10 + ("b",), 0, 1))


def test_standardised_values_are_of_the_reference_and_bounded() -> None:
    real = table(100, 44, 2)
    (own,) = standardised(real, real)
    assert np.abs(own.mean(0)).max() < 0.2
    assert np.abs(own).max() <= 3
    (other,) = standardised(real, table(0, 24))
    density = FRECHET_SCALARS.index("note_density")
    assert other[:, density].max() < -2
    holes = real.scalars.copy()
    holes[:5, SCALARS.index("mean_interval")] = np.nan
    (filled,) = standardised(replace(real, scalars=holes), replace(real, scalars=holes))
    assert np.isfinite(filled).all()


def test_sets_that_cannot_be_compared_are_refused() -> None:
    few, real = table(0, 24).take(np.arange(19)), table(100, 44, 2)
    with pytest.raises(RequestError, match=r"set in question has 19 pieces .* needs 20 at least"):
        evaluate(few, real)
    with pytest.raises(RequestError, match="reference has 19 pieces"):
        evaluate(real, few)
    with pytest.raises(RequestError, match="excerpts of 4 and of 8 bars"):
        evaluate(replace(real, bars=4), real)
    with pytest.raises(RequestError, match="twice"):
        evaluate(real.take(np.arange(44) // 2), real)
