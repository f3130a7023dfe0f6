"""Which onsets would make parallel fifths or octaves with what other voices of a canvas are about to do.

As `musegen.evaluate.voices` counts them: two voices that both move, the same way, and keep a fifth or an octave.

Letters: P parts, T steps, K pitches.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

INTERVALS = (0, 7)
"""Octaves (and unisons) and fifths, modulo 12."""


def parallel_onsets(lines: Ints, voices: Bools, written: Bools, n_pitches: int) -> Bools:
    """(P, T, K) the onsets to be shunned: of the later of two parts where it is to be written there, else of the other.

    Args:
        lines: (P, T) the pitch that each part sounds at each step by the plan so far, -1 where it rests.
        voices: (P,) the parts that count.
        written: (P, T) where a part is to be written.
        n_pitches: K.
    """
    shunned = np.zeros((*lines.shape, n_pitches), np.bool_)
    for first, second in combinations(np.flatnonzero(voices).tolist(), 2):
        shunned[second] |= _in_parallel(lines[first], lines[second], n_pitches) & written[second][:, None]
        alone = written[first] & ~written[second]
        shunned[first] |= _in_parallel(lines[second], lines[first], n_pitches) & alone[:, None]
    return shunned


def _in_parallel(other: Ints, own: Ints, n_pitches: int) -> Bools:
    """(T, K) the pitches at which a voice that sounds `own` would move in parallel with the `other`."""
    before, after, mine = (line[:, None] for line in (other[:-1], other[1:], own[:-1]))  # (T - 1, 1)
    to = np.arange(n_pitches)
    interval = np.abs(before - mine) % 12
    found = (before >= 0) & (after >= 0) & (mine >= 0) & np.isin(interval, INTERVALS) & (before != after)
    found = found & (np.sign(to - mine) == np.sign(after - before)) & (np.abs(after - to) % 12 == interval)
    return np.concatenate((np.zeros((1, n_pitches), np.bool_), found))
