"""Metrics of pitch: which pitches a piece uses, in which scale, by which steps, and whether it ends at home.

Conventions: drum tracks are left out; a piece of drums only is NaN throughout. Notes count once each, whatever
their length. A melodic interval lies between neighbours of a track's skyline (its highest note at each onset).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np

from musegen.evaluate.metric import (
    Array,
    Histogram,
    Metric,
    entropy,
    evaluator,
    mean,
    normalised,
    ratio,
    require_pitched_notes,
    share,
    table,
)
from musegen.evaluate.notes import intervals, lines, on_grid, pitched_notes
from musegen.score import timing
from musegen.score.model import KeySignature, Score
from musegen.score.theory import Key, key_fits, key_of_pitch_class, scale_pitch_classes

MAJOR = np.array([1, 0, 1, 0, 1, 1, 0, 1, 0, 1, 0, 1], np.int64)
MINOR = np.array([1, 0, 1, 1, 0, 1, 0, 1, 1, 0, 1, 0], np.int64)
"""Masks of the scales on C, the minor one natural."""
WIDEST = 12
"""Melodic intervals beyond an octave share the outer bins of their histogram."""
LEAP = 5
"""Semitones from which on an interval is a leap: a fourth."""


def validate(score: Score) -> None:
    """Raise RequestError unless there is a note with a pitch."""
    require_pitched_notes(score)


def _pitch_counts(score: Score) -> Array:
    return np.bincount(pitched_notes(score)["pitch"], minlength=128)


def _class_counts(score: Score) -> Array:
    return np.bincount(pitched_notes(score)["pitch"] % 12, minlength=12)


def pitch_class_entropy(score: Score) -> float:
    """Entropy of the pitch classes of all notes, bits, 0 to log2 12 = 3.585 (Wu and Yang 2020)."""
    return entropy(_class_counts(score))


def pitch_class_entropy_of_bars(score: Score, bars: int) -> float:
    """The mean, over stretches of `bars` bars that have notes, of the entropy of their pitch classes, bits.

    Wu and Yang 2020, who take 1 and 4 bars (H1, H4). A note counts where it begins.
    """
    notes = pitched_notes(score)
    bar, _ = on_grid(score, notes["start"], 24)
    counts = np.zeros((int(bar.max(initial=0)) // bars + 1, 12))
    np.add.at(counts, (bar // bars, notes["pitch"] % 12), 1)
    return mean(np.array([entropy(row) for row in counts if row.any()]))


def pitch_entropy(score: Score) -> float:
    """Entropy of the pitches of all notes, bits, 0 to 7 (Dong et al. 2020)."""
    return entropy(_pitch_counts(score))


def n_pitches(score: Score) -> float:
    """How many different pitches there are, 1 to 128 (Yang and Lerch 2020: pitch count)."""
    used = np.count_nonzero(_pitch_counts(score))
    return float(used) if used else math.nan


def n_pitch_classes(score: Score) -> float:
    """How many different pitch classes there are, 1 to 12."""
    used = np.count_nonzero(_class_counts(score))
    return float(used) if used else math.nan


def pitch_range(score: Score) -> float:
    """Semitones from the lowest to the highest note, 0 to 127 (Yang and Lerch 2020)."""
    pitches = pitched_notes(score)["pitch"]
    return float(np.ptp(pitches)) if pitches.size else math.nan


def mean_pitch(score: Score) -> float:
    """The mean MIDI pitch of all notes, 0 to 127."""
    return mean(pitched_notes(score)["pitch"])


def pitch_in_scale_rate(score: Score, root: int, mode: str) -> float:
    """The share of notes in the major or natural minor scale on the pitch class `root` (Dong et al. 2018)."""
    counts = _class_counts(score)
    return ratio(counts @ np.roll(MAJOR if mode == "major" else MINOR, root), counts.sum())


def scale_consistency(score: Score) -> float:
    """The largest share of notes in one diatonic scale, of all twelve, 7/12 to 1 (Mogren 2016).

    Natural minor scales have the notes of the major ones, so twelve masks are all.
    """
    counts = _class_counts(score)
    return ratio(max(int(counts @ np.roll(MAJOR, root)) for root in range(12)), counts.sum())


def in_key_rate(score: Score) -> float:
    """The share of notes in the scale of the key said at their onset, 0 to 1; in minor with the raised 6 and 7.

    Notes before the first key are left out; NaN where no key is said.
    """
    notes = pitched_notes(score)
    if not score.key_signatures:
        return math.nan
    key = np.searchsorted([k.time for k in score.key_signatures], notes["start"], side="right") - 1
    masks = np.array([[pc in _scale(k) for pc in range(12)] for k in score.key_signatures])
    return share(masks[key, notes["pitch"] % 12][key >= 0])


def _scale(signature: KeySignature) -> frozenset[int]:
    return scale_pitch_classes(Key.from_signature(signature))


def ends_on_tonic(score: Score) -> float:
    """1 if the lowest note that sounds at the last onset is the tonic of the key said there, else 0; NaN without key.

    A broken chord at the end is judged by its last notes.
    """
    notes = pitched_notes(score)
    if not len(notes):
        return math.nan
    last = int(notes["start"][-1])
    key = timing.key_at(score, last)
    if key is None:
        return math.nan
    sounding = (notes["start"] + notes["duration"] > last) | (notes["start"] == last)
    return float(int(notes["pitch"][sounding].min()) % 12 == Key.from_signature(key).tonic_pc)


def likeliest_key(score: Score) -> Key:
    """The key whose profile correlates best with how long each pitch class sounds (Krumhansl 1990).

    Raises:
        RequestError: for a piece without a note that has a pitch.
    """
    validate(score)
    notes = pitched_notes(score)
    weights = np.bincount(notes["pitch"] % 12, notes["duration"], 12)
    mode, root = divmod(int(np.argmax(key_fits(weights))), 12)
    return key_of_pitch_class(root, "minor" if mode else "major")


def mean_interval(score: Score) -> float:
    """Mean size of melodic intervals in semitones, 0 to 127 (Yang and Lerch 2020: average pitch interval)."""
    return mean(np.abs(intervals(score)))


def interval_rate(score: Score, smallest: int, largest: int) -> float:
    """The share of melodic intervals of `smallest` to `largest` semitones, up or down, 0 to 1."""
    size = np.abs(intervals(score))
    return share((size >= smallest) & (size <= largest))


def leap_reversal_rate(score: Score) -> float:
    """The share of leaps (a fourth or more) after which the line turns back, 0 to 1.

    Of leaps that a moving note follows (von Hippel and Huron 2000: skips precede reversals); chance is about 1/2.
    """
    steps = [np.diff(line["pitch"].astype(np.int64)) for line in lines(score)]
    first = np.concatenate([np.zeros(0, np.int64), *(step[:-1] for step in steps)])
    second = np.concatenate([np.zeros(0, np.int64), *(step[1:] for step in steps)])
    counts = (np.abs(first) >= LEAP) & (second != 0)
    return share((np.sign(first) != np.sign(second))[counts])


def pitch_histogram(score: Score) -> Array:
    """Share of each MIDI pitch, (128,)."""
    return normalised(_pitch_counts(score))


def pitch_class_histogram(score: Score) -> Array:
    """Share of each pitch class from C, (12,) (Yang and Lerch 2020)."""
    return normalised(_class_counts(score))


def interval_histogram(score: Score) -> Array:
    """Share of melodic intervals of -12 to 12 semitones, (25,); wider ones are in the outer bins."""
    clipped = np.clip(intervals(score), -WIDEST, WIDEST)
    return normalised(np.bincount(clipped + WIDEST, minlength=2 * WIDEST + 1))


def transition_histogram(score: Score) -> Array:
    """Share of each pair of pitch classes one after the other in a line, (144,), from * 12 + to.

    Yang and Lerch 2020: pitch class transition matrix.
    """
    classes: Sequence[Array] = [line["pitch"].astype(np.int64) % 12 for line in lines(score)]
    pairs = np.concatenate([np.zeros(0, np.int64), *(pc[:-1] * 12 + pc[1:] for pc in classes)])
    return normalised(np.bincount(pairs, minlength=144))


METRICS = table(
    Metric("pitch_class_entropy", pitch_class_entropy, "bits", 0, math.log2(12), "Wu and Yang 2020",
           "spread of pitch classes over the piece"),
    Metric("pitch_class_entropy_1_bar", partial(pitch_class_entropy_of_bars, bars=1), "bits", 0, math.log2(12),
           "Wu and Yang 2020 (H1)", "mean spread of pitch classes within a bar"),
    Metric("pitch_class_entropy_4_bars", partial(pitch_class_entropy_of_bars, bars=4), "bits", 0, math.log2(12),
           "Wu and Yang 2020 (H4)", "mean spread of pitch classes within four bars"),
    Metric("pitch_entropy", pitch_entropy, "bits", 0, 7, "Dong et al. 2020", "spread of pitches"),
    Metric("n_pitches", n_pitches, "pitches", 1, 128, "Yang and Lerch 2020", "different pitches"),
    Metric("n_pitch_classes", n_pitch_classes, "classes", 1, 12, "Dong et al. 2020", "different pitch classes"),
    Metric("pitch_range", pitch_range, "semitones", 0, 127, "Yang and Lerch 2020", "lowest to highest note"),
    Metric("mean_pitch", mean_pitch, "MIDI pitch", 0, 127, "ours", "mean height"),
    Metric("scale_consistency", scale_consistency, "share", 7 / 12, 1, "Mogren 2016",
           "notes in the diatonic scale that fits best"),
    Metric("in_key_rate", in_key_rate, "share", 0, 1, "Dong et al. 2018", "notes in the scale of the key said"),
    Metric("ends_on_tonic", ends_on_tonic, "0 or 1", 0, 1, "ours", "the bass at the last onset is the tonic"),
    Metric("mean_interval", mean_interval, "semitones", 0, 127, "Yang and Lerch 2020", "size of melodic intervals"),
    Metric("unison_rate", partial(interval_rate, smallest=0, largest=0), "share", 0, 1, "Huron 2006",
           "melodic intervals of 0"),
    Metric("step_rate", partial(interval_rate, smallest=1, largest=2), "share", 0, 1, "Huron 2006", "melodic seconds"),
    Metric("leap_rate", partial(interval_rate, smallest=LEAP, largest=127), "share", 0, 1, "Huron 2006",
           "melodic fourths and wider"),
    Metric("leap_reversal_rate", leap_reversal_rate, "share", 0, 1, "von Hippel and Huron 2000",
           "leaps after which the line turns back"),
)  # fmt: skip
"""Metrics of this family by name."""

HISTOGRAMS: dict[str, Histogram] = {
    "pitch": pitch_histogram,
    "pitch_class": pitch_class_histogram,
    "interval": interval_histogram,
    "pitch_class_transition": transition_histogram,
}
"""Histograms of this family by name."""

evaluate = evaluator(METRICS, validate)
"""All metrics of this family; raises as `validate`."""
