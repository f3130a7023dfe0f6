"""What is counted of clips, and how far a set of them is from another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from musegen import roll
from musegen.errors import RequestError
from musegen.evaluate.compare import standardised
from musegen.evaluate.distances import frechet
from musegen.evaluate.features import FeatureTable, measure_scores
from musegen.evaluate.metric import share
from musegen.score.model import Score
from musegen.score.theory import Key, scale_pitch_classes

from .clips import ticks

DRAWS = 20
"""How often a set is drawn for a Fréchet distance."""


@dataclass(frozen=True)
class Counts:
    """Of a set of clips.

    Attributes:
        notes_a_bar: the mean.
        out_of_key: share of the notes of clips whose key is known, in minor the raised 6 and 7 allowed.
        fragments: share of notes that last one step of the grid.
        empty: share of clips without a note; one_class: with one pitch class; one_chord: with two or three.
        at_once: notes sounding at once on the mean, of the fullest clip.
    """

    clips: int
    notes_a_bar: float
    out_of_key: float
    fragments: float
    empty: float
    one_class: float
    one_chord: float
    at_once: float


def counts(scores: Sequence[Score], bars: int) -> Counts:
    """Count a set of clips of so many bars."""
    notes = [ticks(score) for score in scores]
    classes = np.array([len(np.unique(pitch % 12)) for _, _, pitch in notes])
    every = np.concatenate([durations for _, durations, _ in notes])
    return Counts(
        len(scores),
        float(np.mean(densities(scores, bars))),
        out_of_key(scores),
        share(every <= roll.TICKS_PER_STEP),
        share(classes == 0),
        share(classes == 1),
        share((classes == 2) | (classes == 3)),
        float(fullness(scores).max()),
    )


def densities(scores: Sequence[Score], bars: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Notes a bar of each clip."""
    return np.array([score.n_notes / bars for score in scores])


def fullness(scores: Sequence[Score]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Notes sounding at once on the mean, of each clip."""
    return np.array([ticks(score)[1].sum() / score.end for score in scores])


def out_of_key(scores: Sequence[Score]) -> float:
    """The share of notes that are not in the scale of their clip's key; NaN where no key is known."""
    outside = [np.zeros(0, np.bool_)]
    for score in scores:
        if score.key_signatures:
            scale = list(scale_pitch_classes(Key.from_signature(score.key_signatures[0])))
            outside.append(~np.isin(ticks(score)[2] % 12, scale))
    return share(np.concatenate(outside))


def features(scores: Sequence[Score], works: Sequence[str], word: str, bars: int) -> FeatureTable | None:
    """The features of clips, each of a work; None where no clip has notes."""
    names = [f"{word} {number:04d}" for number in range(len(scores))]
    try:
        table = measure_scores(dict(zip(names, scores, strict=True)), bars=bars)
    except RequestError:
        return None
    work = dict(zip(names, works, strict=True))
    return FeatureTable(table.names, tuple(work[name] for name in table.names), table.scalars, table.histograms, bars)


def distance(generated: FeatureTable | None, reference: FeatureTable, pieces: int) -> float:
    """Fréchet distance of `pieces` clips to as many real ones, mean over DRAWS; NaN where there are too few."""
    if generated is None or len(generated) < 2:
        return math.nan
    found = []
    for number in range(DRAWS):
        a, b = (_drawn(table, pieces, number) for table in (generated, reference))
        found.append(frechet(*standardised(reference, a, b)))
    return float(np.mean(found))


def distance_of_real(reference: FeatureTable, pieces: int) -> float:
    """The same of real clips to others of them."""
    found = []
    for number in range(DRAWS):
        order = np.random.default_rng((number, 1)).permutation(len(reference))
        a, b = reference.take(order[:pieces]), reference.take(order[pieces : 2 * pieces])
        found.append(frechet(*standardised(reference, a, b)))
    return float(np.mean(found))


def _drawn(table: FeatureTable, pieces: int, number: int) -> FeatureTable:
    return table.take(np.random.default_rng(number).permutation(len(table))[:pieces])


def percent(value: float, digits: int = 1) -> str:
    """A share as it stands in a table."""
    return "–" if math.isnan(value) else f"{100 * value:.{digits}f} %"


def plain(value: float, digits: int = 2) -> str:
    """A number as it stands in a table."""
    return "–" if math.isnan(value) else f"{value:.{digits}f}"
