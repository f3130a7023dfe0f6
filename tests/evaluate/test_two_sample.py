"""The classifier two-sample test on sets of which it is known how they differ."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from musegen.errors import RequestError
from musegen.evaluate import two_sample
from musegen.evaluate.distances import Array
from musegen.evaluate.two_sample import two_sample_auc


def normal(seed: int, n: int, d: int = 8) -> Array:
    return np.random.default_rng(seed).normal(size=(n, d))


def test_two_samples_of_one_source_cannot_be_told_apart() -> None:
    result = two_sample_auc(normal(1, 60), normal(2, 70), seed=0, repeats=2)
    assert 0.35 < result.auc < 0.65
    assert 0.3 < result.logistic < 0.7
    assert 0.3 < result.accuracy < 0.7
    assert result.low < result.auc < result.high


def test_samples_that_lie_apart_always_are() -> None:
    result = two_sample_auc(normal(1, 40) + 20, normal(2, 40), seed=0, repeats=1)
    assert result.auc == result.logistic == result.accuracy == 1
    assert result.likeness.shape == (40,)
    assert result.likeness.max() < 0.5


def test_what_differs_is_what_the_classifier_leans_on() -> None:
    x, y = normal(1, 80), normal(2, 80)
    x[:, 3] += 2
    blocks = {"same": slice(0, 3), "moved": slice(3, 4), "rest": slice(4, 8)}
    result = two_sample_auc(x, y, seed=0, repeats=1, blocks=blocks)
    assert 0.8 < result.auc < 1
    assert result.importance["moved"] > 0.1
    assert abs(result.importance["same"]) < 0.05 > abs(result.importance["rest"])


def test_the_same_seed_gives_the_same_figures() -> None:
    x, y = normal(1, 30) + 0.5, normal(2, 30)
    first, again, other = (two_sample_auc(x, y, seed=seed, repeats=1) for seed in (4, 4, 5))
    assert (first.auc, first.logistic, first.likeness.tolist()) == (again.auc, again.logistic, again.likeness.tolist())
    assert first.likeness.tolist() != other.likeness.tolist()


def test_that_a_feature_is_undefined_may_be_what_tells_them_apart() -> None:
    x, y = normal(1, 40), normal(2, 40)
    x[:, 2] = np.nan
    y[:3, 2] = np.nan
    y[:, 5] = x[:, 5] = np.nan
    assert two_sample_auc(x, y, seed=0, repeats=1).auc > 0.9


def test_copies_of_a_work_do_not_stand_on_both_sides() -> None:
    x, y = (np.repeat(normal(seed, 10), 6, axis=0) for seed in (1, 2))
    works = [str(i // 6) for i in range(120)]
    assert two_sample_auc(x, y, seed=0, repeats=1).auc > 0.9  # copies met in training give the set away
    assert two_sample_auc(x, y, seed=0, groups=works, repeats=1).auc < 0.75


def test_folds_hold_whole_works_of_both_sets() -> None:
    labels = np.repeat([0, 1], [33, 50])
    groups = [f"{label}{i % 13}" for i, label in enumerate(labels)]
    folds = list(two_sample._folds(labels, groups, np.random.default_rng(0)))
    assert np.sum(folds, axis=0).tolist() == [1] * 83
    for held_out in folds:
        assert {labels[i] for i in np.flatnonzero(held_out)} == {0, 1}
        assert not {groups[i] for i in np.flatnonzero(held_out)} & {groups[i] for i in np.flatnonzero(~held_out)}


def test_without_scikit_learn_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.metrics", None)
    with pytest.raises(RequestError, match=r"pip install musegen\[evaluate\]"):
        two_sample_auc(normal(1, 30), normal(2, 30), seed=0)


def test_sets_that_cannot_be_split_are_refused() -> None:
    with pytest.raises(RequestError, match="8 and 9 features"):
        two_sample_auc(normal(1, 30), normal(2, 30, 9), seed=0)
    with pytest.raises(RequestError, match="4 different works"):
        two_sample_auc(normal(1, 4), normal(2, 30), seed=0)
    with pytest.raises(RequestError, match="3 groups for 60 pieces"):
        two_sample_auc(normal(1, 30), normal(2, 30), seed=0, groups=["a", "b", "c"])
