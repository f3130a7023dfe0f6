"""Which onsets make parallels."""

from __future__ import annotations

import numpy as np

from musegen.compose.leading import parallel_onsets

VOICES = np.ones(2, np.bool_)


def shunned(upper: list[int], lower: list[int], written: tuple[bool, bool] = (True, True)) -> list[list[int]]:
    """(part, step, pitch) of what is shunned."""
    lines = np.array([upper, lower])
    cells = np.array(written)[:, None] & np.ones(lines.shape, np.bool_)
    found: list[list[int]] = np.argwhere(parallel_onsets(lines, VOICES, cells, 84)).tolist()
    return found


def test_octaves_and_fifths_the_same_way_are_shunned_and_nothing_else() -> None:
    assert shunned([48, 50], [36, 36]) == [[1, 1, 38], [1, 1, 50], [1, 1, 62], [1, 1, 74]]  # up with it, in octaves
    assert shunned([43, 41], [36, 36]) == [[1, 1, 10], [1, 1, 22], [1, 1, 34]]  # down with it, in fifths
    assert shunned([40, 41], [36, 36]) == []  # a third may be kept
    assert shunned([48, 48], [36, 36]) == []  # the other stays
    assert shunned([48, 50], [-1, 36]) == shunned([-1, 50], [36, 36]) == shunned([48, -1], [36, 36]) == []


def test_the_voice_that_is_written_gives_way() -> None:
    assert {row[0] for row in shunned([48, 50], [36, 38])} == {1}
    assert {row[0] for row in shunned([48, 50], [36, 38], (False, True))} == {1}
    assert {row[0] for row in shunned([48, 50], [36, 38], (True, False))} == {0}
    assert shunned([48, 50], [36, 38], (False, False)) == []
    lines, written = np.array([[48, 50], [36, 36]]), np.ones((2, 2), np.bool_)
    assert not parallel_onsets(lines, np.array([True, False]), written, 84).any(), "a part of chords is no voice"
