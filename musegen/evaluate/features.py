"""The features by which sets of pieces are compared: what is measured of each piece, and the table of a set.

Conventions: a piece is cut to its first bars, so that all are equally long, and its notes are put on a grid of
GRID steps a quarter, so that a file's rounding (a note-off one tick early) does not tell it apart. The features are
the SCALARS (metrics of a piece) and the bins of the HISTOGRAMS, in that order. All are the same for a transposed
piece. Left out on purpose is what says more of a file than of its music: tempo, velocity, instruments, names, the key
and the chords that are said. What is undefined for a piece is NaN.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from musegen.errors import RequestError
from musegen.evaluate import pieces
from musegen.evaluate.distances import Array
from musegen.evaluate.files import map_files
from musegen.evaluate.metric import normalised
from musegen.evaluate.notes import pitched_notes
from musegen.evaluate.rhythm import NOTE_VALUES
from musegen.score.model import Score
from musegen.score.ops import quantize, slice_bars
from musegen.score.timing import n_bars

GRID = 24
"""Steps a quarter to which notes are moved: sixteenths, triplets of them and thirty-seconds lie on it."""

SCALARS = (
    *("pitch_class_entropy", "pitch_class_entropy_1_bar", "pitch_class_entropy_4_bars", "pitch_entropy"),
    *("n_pitches", "n_pitch_classes", "pitch_range", "scale_consistency", "mean_interval", "unison_rate"),
    *("step_rate", "leap_rate", "leap_reversal_rate", "note_density", "empty_beat_rate", "empty_bar_rate"),
    *("groove_consistency", "groove_similarity", "mean_duration", "mean_inter_onset", "duration_entropy"),
    *("inter_onset_entropy", "on_beat_rate", "on_grid_rate", "polyphony", "max_polyphony", "simultaneity_rate"),
    *("polyphony_rate", "consonance_rate", "self_similarity_1", "self_similarity_2", "self_similarity_4"),
    *("self_similarity_8", "best_self_similarity", "best_lag", "longest_repeat", "repeated_bar_rate", "loop_rate"),
    *("parallel_fifths", "parallel_octaves", "voice_crossing_rate", "wide_spacing_rate", "wide_leap_rate"),
)
"""Names of metrics (`pieces.METRICS`), in the order of the columns."""


def pitch_class_relations(score: Score) -> Array:
    """How pitch classes lie to each other, (7,): share of pairs of notes 0 to 6 semitones apart, octaves aside.

    c_k = sum over i of p_i p_(i+k), p the shares of the pitch classes, k and 12 - k together; sums to 1. It is
    Lewin's interval function of a piece's pitch classes with themselves (Journal of Music Theory 3, 1959).
    """
    p = normalised(np.bincount(pitched_notes(score)["pitch"] % 12, minlength=12))
    c = np.array([p @ np.roll(p, -k) for k in range(12)])
    return np.asarray([c[0], *(c[1:6] + c[:6:-1]), c[6]])


def harmonic_intervals(score: Score) -> Array:
    """Share of intervals above the bass, modulo the octave, (12,), of the notes sounding at each onset.

    Every onset counts each note above the lowest one once; NaN where only single notes sound.
    """
    notes = pitched_notes(score)
    onsets, first = np.unique(notes["start"], return_inverse=True)
    stop = np.maximum(np.searchsorted(onsets, notes["start"] + notes["duration"]), first + 1)
    # One entry for each note at each onset at which it sounds.
    lengths = stop - first
    within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    place, pitch = np.repeat(first, lengths) + within, np.repeat(notes["pitch"], lengths)
    bass = np.full(len(onsets), 128, np.int64)
    np.minimum.at(bass, place, pitch)
    counts = np.bincount((pitch - bass[place]) % 12, minlength=12)
    counts[0] -= len(onsets)  # the bass itself
    return np.asarray(normalised(counts))


HISTOGRAMS: dict[str, Callable[[Score], npt.NDArray[Any]]] = {
    "interval": pieces.HISTOGRAMS["interval"],
    "duration": pieces.HISTOGRAMS["duration"],
    "inter_onset": pieces.HISTOGRAMS["inter_onset"],
    "position": pieces.HISTOGRAMS["position"],
    "pitch_class_relation": pitch_class_relations,
    "harmonic_interval": harmonic_intervals,
}
"""Histograms of a piece that a transposition leaves as they are, by name."""


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """The features of a set of pieces.

    Attributes:
        names: of the pieces, such as their paths; (n).
        groups: the work of each piece, by which near relatives are kept together; (n).
        scalars: (n, len(SCALARS)).
        histograms: by name (n, bins).
        bars: how long each excerpt is; None for whole pieces.
        skipped: why a piece is not in the table, by name.
    """

    names: tuple[str, ...]
    groups: tuple[str, ...]
    scalars: Array
    histograms: Mapping[str, Array]
    bars: int | None
    skipped: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        """How many pieces there are."""
        return len(self.names)

    def take(self, index: npt.NDArray[np.int64]) -> FeatureTable:
        """The pieces at these places."""
        return replace(
            self,
            names=tuple(self.names[i] for i in index),
            groups=tuple(self.groups[i] for i in index),
            scalars=self.scalars[index],
            histograms={name: values[index] for name, values in self.histograms.items()},
        )

    def sorted(self) -> FeatureTable:
        """The pieces in the order of their names."""
        return self.take(np.argsort(np.asarray(self.names), kind="stable"))

    def values(self, name: str) -> Array:
        """One feature of the pieces for which it is defined: (k,) of a scalar, (k, bins) of a histogram."""
        if name in self.histograms:
            rows = self.histograms[name]
            return rows[np.isfinite(rows).all(1)]
        column = self.scalars[:, SCALARS.index(name)]
        return column[np.isfinite(column)]

    def matrix(self) -> Array:
        """Scalars and bins of histograms side by side, (n, d)."""
        return np.hstack((self.scalars, *self.histograms.values()))

    def blocks(self) -> dict[str, slice]:
        """The columns of `matrix` that belong to each feature."""
        columns = {name: slice(i, i + 1) for i, name in enumerate(SCALARS)}
        start = len(SCALARS)
        for name, values in self.histograms.items():
            columns[name] = slice(start, start + values.shape[1])
            start += values.shape[1]
        return columns


def unit(name: str) -> str:
    """The unit of a feature; a histogram has none."""
    return "" if name in HISTOGRAMS else pieces.METRICS[name].unit


def excerpt(score: Score, bars: int | None) -> Score:
    """The first `bars` bars (None: the whole piece) on the grid.

    Raises:
        RequestError: for a piece that has fewer bars, or none with notes.
    """
    if bars is not None:
        if n_bars(score) < bars:
            raise RequestError(f"has {n_bars(score)} bars, fewer than the {bars} compared")
        score = slice_bars(score, 0, bars)
    if not score.n_notes:
        raise RequestError("holds no notes there; there is nothing to compare")
    return quantize(score, GRID)


def measure(score: Score, bars: int | None) -> tuple[Array, dict[str, Array]]:
    """The scalars, (len(SCALARS),), and the histograms of one piece's excerpt.

    Raises:
        RequestError: as `excerpt`.
    """
    part = excerpt(score, bars)
    scalars = np.array([float(pieces.METRICS[name].function(part)) for name in SCALARS])
    return scalars, {name: np.asarray(function(part), np.float64) for name, function in HISTOGRAMS.items()}


def measure_files(
    paths: Sequence[Path | str], *, bars: int | None, groups: Mapping[str, str] | None = None, workers: int = 1
) -> FeatureTable:
    """The table of the pieces in these files; what cannot be read, has no notes or fewer bars is in `skipped`.

    Args:
        paths: of music files.
        bars: to compare of each, from the first; None is all.
        groups: the work to which a path belongs; a path that is not there is a work of its own.
        workers: processes to read with.

    Raises:
        RequestError: if no file is left.
    """
    found, skipped = map_files(partial(measure, bars=bars), paths, workers=workers)
    if not found:
        reasons = "; ".join(f"{path}: {reason}" for path, reason in list(skipped.items())[:1])
        raise RequestError(
            f"none of {len(skipped)} pieces can be compared ({reasons}); give other pieces, or compare fewer bars"
        )
    return _table(found, groups or {}, bars, skipped)


def measure_scores(scores: Mapping[str, Score], *, bars: int | None) -> FeatureTable:
    """The table of these pieces, by name; as `measure_files`."""
    found, skipped = {}, {}
    for name, score in scores.items():
        try:
            found[name] = measure(score, bars)
        except RequestError as error:  # noqa: PERF203  # one piece at a time, to name it
            skipped[name] = str(error)
    if not found:
        raise RequestError(f"none of {len(skipped)} pieces can be compared")
    return _table(found, {}, bars, skipped)


def _table(
    found: Mapping[str, tuple[Array, dict[str, Array]]],
    groups: Mapping[str, str],
    bars: int | None,
    skipped: Mapping[str, str],
) -> FeatureTable:
    names = tuple(found)
    return FeatureTable(
        names,
        tuple(groups.get(name, name) for name in names),
        np.stack([scalars for scalars, _ in found.values()]),
        {name: np.stack([histograms[name] for _, histograms in found.values()]) for name in HISTOGRAMS},
        bars,
        dict(skipped),
    )


def bin_labels(name: str, bins: int) -> list[str]:
    """What stands below each bin of a histogram: semitones, quarters, or sixteenths from the bar line."""
    if name == "interval":
        return [f"{i - bins // 2:+d}" if i != bins // 2 else "0" for i in range(bins)]
    if name in {"duration", "inter_onset"}:
        return [str(Fraction(value).limit_denominator(12)) for value in NOTE_VALUES]
    return [str(i) for i in range(bins)]
