"""The classifier two-sample test: can a trained classifier tell one set from the other?

Conventions: rows are pieces, columns features, NaN where a feature is undefined; what is undefined is replaced by
the median of the training folds, with a column that says so. The figure is the area under the ROC curve (AUC) on
held-out folds: 0.5 for two sets that cannot be told apart, 1 for two that always can. Pieces of one group (a work)
are never in both the training and the held-out part. Idea and theory: Lopez-Paz and Oquab, "Revisiting classifier
two-sample tests", ICLR 2017 (there with accuracy). Needs scikit-learn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from musegen.errors import RequestError
from musegen.evaluate.distances import Array, auc_interval

FOLDS = 5
REPEATS = 3
TREES = 100


@dataclass(frozen=True, eq=False)
class TwoSample:
    """How well two sets can be told apart.

    Attributes:
        auc: of the random forest, mean over folds and repeats; 0..1.
        low, high: the 95 % interval of `auc`, see `auc_interval`.
        logistic: AUC of the logistic regression on the same folds, a second opinion.
        accuracy: share of pieces that the forest puts into the right set when held out, both sets weighing equally;
            0..1, 0.5 by chance.
        likeness: for each piece of the first set the forest's held-out probability of its being of the second;
            mean over repeats; (n,).
        importance: by block of columns, how far the forest's held-out probability of the right set falls, on the
            mean, when the block is shuffled among the held-out pieces (permutation importance, Breiman 2001); about
            0 for what it does not need. Features that say the same share it. From the first repeat.
    """

    auc: float
    low: float
    high: float
    logistic: float
    accuracy: float
    likeness: Array
    importance: Mapping[str, float]


def validate(x: Array, y: Array, groups: Sequence[str]) -> None:
    """Raise RequestError unless both sets have FOLDS groups and as many columns, and each piece has a group."""
    if x.shape[1] != y.shape[1]:
        raise RequestError(f"the sets have {x.shape[1]} and {y.shape[1]} features; measure both alike")
    if len(groups) != len(x) + len(y):
        raise RequestError(f"{len(groups)} groups for {len(x) + len(y)} pieces; name one for each")
    for part in (groups[: len(x)], groups[len(x) :]):
        if len(set(part)) < FOLDS:
            raise RequestError(f"a set holds {len(set(part))} different works; a classifier needs {FOLDS} at least")


def two_sample_auc(
    x: Array,
    y: Array,
    *,
    seed: int,
    groups: Sequence[str] | None = None,
    repeats: int = REPEATS,
    blocks: Mapping[str, slice] | None = None,
) -> TwoSample:
    """Train classifiers to tell rows of x (n, d) from rows of y (m, d), FOLDS-fold, `repeats` times over.

    The first is a random forest (Breiman 2001) of TREES trees, leaves of two pieces or more, both classes weighing
    equally; the second a logistic regression on standardised features, C = 0.1. An AUC is reckoned on each held-out
    fold, and their mean taken. Same arguments, same figures.

    Args:
        x: the set in question.
        y: the set it is held against.
        seed: what decides folds and forests.
        groups: the work of each row of x, then of y; None is a work of its own for each.
        repeats: how often the folds are drawn.
        blocks: named columns whose importance is wanted; None is none.

    Raises:
        RequestError: if scikit-learn is missing, or a set is too small.
    """
    names = [str(i) for i in range(len(x) + len(y))] if groups is None else list(groups)
    validate(x, y, names)
    metrics = _sklearn("sklearn.metrics")
    rows = np.concatenate((x, y))
    labels = np.repeat([0, 1], [len(x), len(y)])
    rng = np.random.default_rng(seed)
    scores: dict[str, list[float]] = {"forest": [], "logistic": []}
    probability = np.zeros(len(rows))
    drops: dict[str, list[float]] = {name: [] for name in blocks or {}}
    for repeat in range(repeats):
        for held_out in _folds(labels, names, rng):
            models = _classifiers(int(rng.integers(2**31)))
            for name, model in models.items():
                model.fit(rows[~held_out], labels[~held_out])
                guess = model.predict_proba(rows[held_out])[:, 1]
                scores[name].append(float(metrics.roc_auc_score(labels[held_out], guess)))
                if name == "forest":
                    probability[held_out] += guess / repeats
            if repeat == 0 and blocks:
                for block, drop in _drops(models["forest"], rows[held_out], labels[held_out], blocks, rng):
                    drops[block].append(drop)
    auc = float(np.mean(scores["forest"]))
    right = (probability > 0.5) == labels
    return TwoSample(
        auc,
        *auc_interval(auc, len(x), len(y)),
        logistic=float(np.mean(scores["logistic"])),
        accuracy=float((right[labels == 0].mean() + right[labels == 1].mean()) / 2),
        likeness=probability[: len(x)],
        importance={name: float(np.mean(values)) for name, values in drops.items()},
    )


def _drops(
    forest: Any,
    rows: Array,
    labels: npt.NDArray[np.int64],
    blocks: Mapping[str, slice],
    rng: np.random.Generator,
) -> Iterator[tuple[str, float]]:
    """For each block, how far the probability of the right set falls when it is shuffled."""
    versions = np.repeat(rows[None], len(blocks) + 1, axis=0)  # (blocks + 1, n, d), asked about at once: far quicker
    for version, columns in zip(versions[1:], blocks.values(), strict=True):
        version[:, columns] = rng.permutation(rows[:, columns])
    chances = forest.predict_proba(versions.reshape(-1, rows.shape[1])).reshape(len(versions), len(rows), 2)
    right = chances[:, np.arange(len(rows)), labels].mean(1)
    return zip(blocks, (right[0] - right[1:]).tolist(), strict=True)


def _folds(labels: npt.NDArray[np.int64], groups: Sequence[str], rng: np.random.Generator) -> Iterator[Any]:
    """Masks of the held-out rows: whole groups, dealt at random so that each fold holds as many of each set.

    The largest groups are dealt first, each to the fold that has the fewest rows of the group's larger set.
    """
    _, index = np.unique(np.asarray(groups), return_inverse=True)
    sizes = np.stack([np.bincount(index[labels == label], minlength=index.max() + 1) for label in (0, 1)], axis=1)
    order = rng.permutation(len(sizes))
    order = order[np.argsort(-sizes[order].sum(1), kind="stable")]
    held, fold_of = np.zeros((FOLDS, 2), np.int64), np.zeros(len(sizes), np.int64)
    for group in order:
        fold = int(np.argmin(held[:, int(sizes[group].argmax())]))
        fold_of[group] = fold
        held[fold] += sizes[group]
    if not held.all():
        raise RequestError("too few works for folds that hold pieces of both sets; give more pieces")
    return (fold_of[index] == fold for fold in range(FOLDS))


def _classifiers(seed: int) -> dict[str, Any]:
    ensemble, linear = _sklearn("sklearn.ensemble"), _sklearn("sklearn.linear_model")
    impute, scaling = _sklearn("sklearn.impute"), _sklearn("sklearn.preprocessing")
    pipeline = _sklearn("sklearn.pipeline")

    def imputer() -> Any:
        return impute.SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True)

    forest = ensemble.RandomForestClassifier(
        TREES, min_samples_leaf=2, class_weight="balanced", random_state=seed, n_jobs=1
    )
    logistic = linear.LogisticRegression(C=0.1, class_weight="balanced", max_iter=5000)
    return {
        "forest": pipeline.make_pipeline(imputer(), forest),
        "logistic": pipeline.make_pipeline(imputer(), scaling.StandardScaler(), logistic),
    }


def require_classifiers() -> None:
    """Raise RequestError if scikit-learn is missing, so that a caller can say so before minutes are spent."""
    _sklearn("sklearn.metrics")


def _sklearn(name: str) -> Any:
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError:
        raise RequestError("the two-sample test needs scikit-learn: pip install musegen[evaluate]") from None
