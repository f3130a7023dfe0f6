"""A set of pieces against real ones, with real against real beside it.

Conventions: `generated` and `reference` are tables of features measured alike (see `features`). Each figure is a
Reading: what the two sets give, and what random halves of the reference give when they are held against each
other, mean and range over several splits, since only that says what a good value is. Works stay together in a half.
Pieces are put in the order of their names first, so the order in which they are given does not matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from musegen.errors import RequestError
from musegen.evaluate.distances import Array, frechet, rank_auc, yang_lerch
from musegen.evaluate.features import SCALARS, FeatureTable, unit
from musegen.evaluate.two_sample import TwoSample, two_sample_auc

MIN_PIECES = 20
"""Pieces that each set must have: below it every interval is as wide as what there is to tell apart."""
MIN_HALF = 8
"""Pieces of each half in which a feature must be defined for its overlap to be told."""
SPLITS = 20
"""How often the reference is split in halves, if not said otherwise."""
FRECHET_SCALARS = (
    *("pitch_class_entropy", "pitch_class_entropy_1_bar", "n_pitch_classes", "pitch_range", "scale_consistency"),
    *("mean_interval", "step_rate", "leap_rate", "note_density", "empty_beat_rate", "groove_similarity"),
    *("mean_duration", "duration_entropy", "on_beat_rate", "polyphony", "self_similarity_1", "self_similarity_4"),
    "repeated_bar_rate",
)
"""The feature vector of the Fréchet distance: few, so that twenty pieces tell something, and defined for nearly all."""
OUTERMOST = 3.0
"""Standard deviations at which a value of that vector is cut off."""


@dataclass(frozen=True)
class Reading:
    """A figure of generated against real (`value`), and of real against real: mean, least and greatest."""

    value: float
    real: float
    real_low: float
    real_high: float


@dataclass(frozen=True)
class FeatureReading:
    """One feature, a number or a histogram, in both sets.

    Attributes:
        name, unit: of the feature; a histogram has no unit.
        generated, reference: (mean, standard deviation, pieces where it is defined); NaN for histograms.
        overlap: overlapped area after Yang and Lerch, 0..1; NaN where fewer than MIN_PIECES of a set have the feature.
        divergence: Kullback-Leibler divergence after the same, nats.
        auc: the chance that the generated piece of a pair has the greater value, 0..1; NaN for histograms.
        importance: see `TwoSample`.
    """

    name: str
    unit: str
    generated: tuple[float, float, int]
    reference: tuple[float, float, int]
    overlap: Reading
    divergence: Reading
    auc: float
    importance: float


@dataclass(frozen=True, eq=False)
class Comparison:
    """What there is to say of two sets of pieces.

    Attributes:
        generated, reference: what was measured, in the order of the names.
        seed: what decided every split, fold and forest.
        features: the feature the classifier leans on most first.
        frechet: Fréchet distance of the FRECHET_SCALARS, `standardised`, of `frechet_pieces` drawn of each side; mean
            over as many draws as there are splits.
        auc: of the two-sample test; `logistic` the second opinion.
        test: the rest of that test.
        ranking: (name, probability of being real) of the generated pieces, the likest first.
    """

    generated: FeatureTable
    reference: FeatureTable
    seed: int
    features: tuple[FeatureReading, ...]
    frechet: Reading
    frechet_pieces: int
    auc: Reading
    logistic: Reading
    test: TwoSample
    ranking: tuple[tuple[str, float], ...]

    @property
    def chosen(self) -> tuple[tuple[str, str, float], ...]:
        """("best" | "median" | "worst", name, probability of being real): first, middle and last of the ranking."""
        places = {"best": 0, "median": len(self.ranking) // 2, "worst": len(self.ranking) - 1}
        return tuple((word, *self.ranking[place]) for word, place in places.items())


def validate(generated: FeatureTable, reference: FeatureTable) -> None:
    """Raise RequestError unless both tables have MIN_PIECES pieces, excerpts of one length and names that differ."""
    for table, word in ((generated, "set in question"), (reference, "reference")):
        if len(table) < MIN_PIECES:
            raise RequestError(
                f"the {word} has {len(table)} pieces that can be compared ({len(table.skipped)} skipped); a comparison "
                f"needs {MIN_PIECES} at least: give more pieces, or compare fewer bars of each"
            )
        if len(set(table.names)) < len(table):
            raise RequestError(f"the {word} names a piece twice; give each once")
    if generated.bars != reference.bars:
        raise RequestError(f"excerpts of {generated.bars} and of {reference.bars} bars; cut both alike")


def evaluate(generated: FeatureTable, reference: FeatureTable, *, seed: int = 0, splits: int = SPLITS) -> Comparison:
    """Hold `generated` against `reference`, and halves of `reference` against each other, `splits` times over.

    The same tables and seed give the same figures, in whatever order the pieces are.

    Raises:
        RequestError: as `validate`, or if scikit-learn is missing.
    """
    validate(generated, reference)
    generated, reference = generated.sorted(), reference.sorted()
    test = two_sample_auc(
        generated.matrix(), reference.matrix(), seed=seed, groups=(*generated.groups, *reference.groups),
        blocks=generated.blocks(),
    )  # fmt: skip
    real = real_against_real(reference, seed=seed, splits=splits, most=len(generated))
    values = [
        frechet(*standardised(reference, generated.take(_draw(len(generated), real.pieces, (seed, i, 1))), half))
        for i, (half, _) in enumerate(real.halves)
    ]
    order = np.lexsort((np.arange(len(generated)), -test.likeness))
    return Comparison(
        generated, reference, seed,
        tuple(sorted((_feature(name, generated, reference, real.halves, drop) for name, drop in
                      test.importance.items()), key=lambda feature: (-feature.importance, feature.name))),
        _reading(float(np.mean(values)), real.frechet), real.pieces,
        _reading(test.auc, real.auc), _reading(test.logistic, real.logistic),
        test, tuple((generated.names[i], float(test.likeness[i])) for i in order),
    )  # fmt: skip


def _reading(value: float, real: Sequence[float]) -> Reading:
    return Reading(value, float(np.mean(real)), min(real), max(real))


# ---- real against real -------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class RealAgainstReal:
    """What random halves of one set give, a figure for each split.

    Attributes:
        halves: the sets of each split, of `pieces` pieces each.
        auc, logistic: of the two-sample test with all pieces of the halves, folds drawn once.
        frechet: Fréchet distance of `pieces` of each half.
    """

    halves: tuple[tuple[FeatureTable, FeatureTable], ...]
    pieces: int
    auc: tuple[float, ...]
    logistic: tuple[float, ...]
    frechet: tuple[float, ...]


def real_against_real(
    reference: FeatureTable, *, seed: int = 0, splits: int = SPLITS, most: int | None = None
) -> RealAgainstReal:
    """Hold random halves of a set against each other; `most` bounds the pieces a side of the Fréchet distance.

    Raises:
        RequestError: if one work is more than a third of the set, or scikit-learn is missing.
    """
    reference = reference.sorted()
    whole = [(reference.take(a), reference.take(b)) for a, b in _halves(reference.groups, seed, splits)]
    tests = [
        two_sample_auc(a.matrix(), b.matrix(), seed=seed + i, groups=(*a.groups, *b.groups), repeats=1)
        for i, (a, b) in enumerate(whole)
    ]
    pieces = min([len(table) for pair in whole for table in pair] + ([] if most is None else [most]))
    halves = tuple(
        (a.take(_draw(len(a), pieces, (seed, i, 2))), b.take(_draw(len(b), pieces, (seed, i, 3))))
        for i, (a, b) in enumerate(whole)
    )
    return RealAgainstReal(
        halves, pieces, tuple(test.auc for test in tests), tuple(test.logistic for test in tests),
        tuple(frechet(*standardised(reference, *pair)) for pair in halves),
    )  # fmt: skip


def _draw(n: int, size: int, seed: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """`size` of n places, rising."""
    return np.sort(np.random.default_rng(seed).permutation(n)[:size])


def _halves(
    groups: tuple[str, ...], seed: int, splits: int
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Random splits into two halves, as equal as whole works allow: indices of each."""
    _, index = np.unique(np.asarray(groups), return_inverse=True)
    sizes = np.bincount(index)
    if sizes.max() > len(groups) // 3:
        raise RequestError("most of the reference is one work, which has no halves; give more works")
    for number in range(splits):
        order = np.random.default_rng((seed, number)).permutation(len(sizes))
        order = order[np.argsort(-sizes[order], kind="stable")]
        counts, side = [0, 0], np.zeros(len(sizes), np.int64)
        for group in order:
            side[group] = int(counts[1] < counts[0])
            counts[side[group]] += int(sizes[group])
        yield np.flatnonzero(side[index] == 0), np.flatnonzero(side[index] == 1)


def standardised(reference: FeatureTable, *tables: FeatureTable) -> list[Array]:
    """The FRECHET_SCALARS of each table, less the reference's mean, over its standard deviation.

    What is undefined gets the reference's median. Where the reference has no spread, that of all tables together
    stands in. Values beyond OUTERMOST standard deviations count as that many: of a feature that one real piece in
    two hundred has, the halves would otherwise differ more than anything else does.
    """
    columns = [SCALARS.index(name) for name in FRECHET_SCALARS]
    base, *rest = (table.scalars[:, columns] for table in (reference, *tables))
    middle = np.array([np.median(c[np.isfinite(c)]) if np.isfinite(c).any() else 0.0 for c in base.T])
    base, *rest = (np.where(np.isnan(x), middle, x) for x in (base, *rest))
    own, common = base.std(0), np.concatenate((base, *rest)).std(0)
    spread = np.where(own > 1e-9, own, common)
    spread[spread <= 1e-9] = 1.0  # the same in every piece of all sets
    return [np.clip((x - base.mean(0)) / spread, -OUTERMOST, OUTERMOST) for x in rest]


# ---- features one by one -----------------------------------------------------------------------------------


def _feature(
    name: str,
    generated: FeatureTable,
    reference: FeatureTable,
    halves: Sequence[tuple[FeatureTable, FeatureTable]],
    importance: float,
) -> FeatureReading:
    x, y = generated.values(name), reference.values(name)
    real = [(a.values(name), b.values(name)) for a, b in halves]
    nan, scalar = float("nan"), x.ndim == 1
    overlap = divergence = Reading(nan, nan, nan, nan)
    enough = min(len(x), len(y)) >= MIN_PIECES and min(len(part) for pair in real for part in pair) >= MIN_HALF
    if enough:
        value, pairs = yang_lerch(x, y), [yang_lerch(a, b) for a, b in real]
        overlap, divergence = (_reading(value[i], [pair[i] for pair in pairs]) for i in (0, 1))
    return FeatureReading(
        name, unit(name), _moments(x), _moments(y), overlap, divergence,
        rank_auc(x, y) if enough and scalar else nan, importance,
    )  # fmt: skip


def _moments(x: Array) -> tuple[float, float, int]:
    """(mean, standard deviation, pieces); of histograms the pieces alone."""
    if x.ndim == 2 or not len(x):
        return float("nan"), float("nan"), len(x)
    return float(x.mean()), float(x.std()), len(x)
