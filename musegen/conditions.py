"""What a model that writes whole clips is told of one: its style, mode, density and metre, its beats, its chords.

Clips stand on C: a model reads and writes all keys moved by `to_c`, so it learns each mode once, not twelve times. Of
the values of the whole clip, 0 says nothing. All counts of time are in beats of a quarter, four steps of a roll.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt

from musegen.errors import RequestError
from musegen.roll import STEPS_PER_QUARTER
from musegen.score.model import Array
from musegen.score.theory import Key
from musegen.tokens.harmony import CHORD_TONES
from musegen.tokens.vocabulary import N_DENSITIES, NO_CHORD, QUALITIES, STYLES

METRES = (
    (1, 4),
    (2, 4),
    (3, 4),
    (4, 4),
    (5, 4),
    (6, 4),
    (1, 2),
    (2, 2),
    (3, 2),
    (4, 2),
    (4, 8),
    (6, 8),
    (8, 8),
    (12, 8),
)
"""Of those whose bar is a whole number of quarters, the ones that are told apart."""
CLIP_SIZES = (1 + len(STYLES), 1 + 2, 1 + N_DENSITIES, 1 + len(METRES))
"""Values of style, mode, density and metre."""
FAR = 8
"""Bars from the beginning and to the end are counted up to this."""
LONGEST_BAR = 8
BEAT_SIZES = (LONGEST_BAR, 1 + FAR, 1 + FAR)
"""Values of a beat's place in its bar, of its bar's from the beginning of the piece, and of the bars to the end."""
CHORD_SIZE = 12 + 12 + 1
"""Pitch classes of a chord, its bass, and whether one is told (a told "N" has no pitch class)."""

Ints = npt.NDArray[np.int64]


def beats_a_bar(numerator: int, denominator: int) -> int:
    """Quarters in a bar of this metre.

    Raises:
        RequestError: if its bar is no whole number of quarters, or longer than LONGEST_BAR.
    """
    beats = Fraction(4 * numerator, denominator)
    if beats.denominator != 1 or beats > LONGEST_BAR:
        raise RequestError(
            f"the metre {numerator}/{denominator} has bars of {beats} quarters; the diffusion model writes bars of one "
            f"to {LONGEST_BAR} whole quarters (as 4/4, 3/4, 6/8, 2/4); use the transformer for others"
        )
    return int(beats)


def to_c(key: Key | None) -> int:
    """Semitones, -6 to 5, by which music in a key moves so that its tonic is C; 0 where no key is known."""
    return 0 if key is None else (6 - key.tonic_pc) % 12 - 6


def clip_values(style: str | None, key: Key | None, density: int | None, metre: tuple[int, int]) -> Ints:
    """(4,) the values of the clip; what is None is not told."""
    return np.array([
        0 if style is None else 1 + STYLES.index(style),
        0 if key is None else 1 + (key.mode == "minor"),
        0 if density is None else density,
        1 + METRES.index(metre) if metre in METRES else 0,
    ])  # fmt: skip


def beat_values(beats: int, first: int, last: int, total: int) -> Ints:
    """(N, 3) the facts of the beats of bars `first` to `last` (excluded) of `total` bars of so many beats."""
    bars = np.repeat(np.arange(first, last), beats)
    places = np.tile(np.arange(beats), last - first)
    return np.stack((places, np.minimum(bars, FAR), np.minimum(total - 1 - bars, FAR)), axis=1)


def chord_values(chords: Array, n_beats: int, semitones: int = 0) -> npt.NDArray[np.uint8]:
    """(N, 25) the chord of each beat, `semitones` higher; all 0 before the first one.

    Args:
        chords: (n, 3) of step from the clip's beginning (below 0: from before), Chord and Bass value, by step; the
            chord that begins in a beat's first half is that beat's.
        n_beats: N.
        semitones: how much higher.
    """
    rows = np.zeros((n_beats, CHORD_SIZE), np.uint8)
    at = np.searchsorted(chords[:, 0], np.arange(n_beats) * STEPS_PER_QUARTER + 1, side="right") - 1
    told = at >= 0
    chord, bass = chords[at[told], 1], chords[at[told], 2]
    rows[told, :12] = np.roll(_TONES[chord], semitones, axis=1)
    sounding = chord != NO_CHORD
    bass = (np.where(bass < 0, (chord - 1) // len(QUALITIES), bass) + semitones) % 12
    rows[np.flatnonzero(told)[sounding], 12 + bass[sounding]] = 1
    rows[told, -1] = 1
    return rows


def _tones() -> npt.NDArray[np.uint8]:
    """(Chord values, 12) the pitch classes of each chord."""
    table = np.zeros((1 + 12 * len(QUALITIES), 12), np.uint8)
    for root in range(12):
        for i, quality in enumerate(QUALITIES):
            table[1 + len(QUALITIES) * root + i, [(root + tone) % 12 for tone in CHORD_TONES[quality]]] = 1
    return table


_TONES = _tones()
