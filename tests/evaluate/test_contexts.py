from __future__ import annotations

import numpy as np
import pytest

from musegen.errors import RequestError
from musegen.evaluate.chorale_contexts import CLASSES, LOWEST, ORDER, Steps, ages, class_table, ids_of
from musegen.evaluate.chorale_families import predictions
from musegen.evaluate.chorales import REST, Grid
from musegen.evaluate.contexts import DISCOUNT, Family, hashed, levels, predict


def chorale(seed: int, steps: int = 48) -> Grid:
    """Four random walks on the scale of C, moving on eighths, with a rest now and then."""
    rng = np.random.default_rng(seed)
    grid = np.zeros((steps, 4), np.int16)
    pitches = np.array([72, 67, 60, 48])
    for step in range(steps):
        moves = rng.integers(-2, 3, 4) * (rng.random(4) < 0.5) * (step % 2 == 0)
        pitches = np.clip(pitches + moves, [60, 55, 48, 40], [80, 74, 69, 62])
        grid[step] = pitches
    grid[rng.integers(steps), rng.integers(4)] = REST
    return grid


def test_a_family_counts_other_pieces_never_its_own() -> None:
    piece = np.array([0, 0, 0, 1, 1, 2])
    y = np.array([1, 1, 0, 0, 1, 1])
    family = Family("all alike", [hashed(np.zeros(6))])
    counted = piece < 2  # piece 2 is held out
    p = predict(family, y, 2, piece, counted)[:, -1]

    def blended(zeros: int, ones: int) -> list[float]:
        total = zeros + ones
        given = sum(min(n, DISCOUNT) for n in (zeros, ones))
        return [(max(n - DISCOUNT, 0) + given / 2) / total for n in (zeros, ones)]

    assert p[0] == pytest.approx(blended(1, 1))  # of piece 1 alone
    assert p[3] == pytest.approx(blended(1, 2))  # of piece 0 alone
    assert p[5] == pytest.approx(blended(2, 3))  # of both
    assert np.allclose(p.sum(axis=1), 1)


def test_a_family_within_counts_what_came_before() -> None:
    piece = np.array([0, 0, 0, 1])
    y = np.array([1, 1, 0, 1])
    p = predict(Family("again", [hashed(np.zeros(4))], within=True), y, 2, piece, np.ones(4, np.bool_))[:, -1]
    assert p[0].tolist() == p[3].tolist() == [0.5, 0.5]
    assert p[1] == pytest.approx([DISCOUNT / 2, 1 - DISCOUNT / 2])
    assert p[2] == pytest.approx([DISCOUNT / 4, 1 - DISCOUNT / 4])


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(RequestError, match="one length"):
        predict(Family("short", [hashed(np.zeros(3))]), np.zeros(4, np.int64), 2, np.zeros(4), np.ones(4, np.bool_))


def test_hashes_tell_columns_and_their_order_apart() -> None:
    a, b = np.array([0, 1, 2]), np.array([5, 6, 7])
    assert len({*hashed(a, b).tolist(), *hashed(b, a).tolist(), *hashed(a).tolist(), *hashed(a, 0).tolist()}) == 12


def test_classes_are_moves() -> None:
    table = class_table()
    assert table[31, 31] == 14 and table[31, 33] == 16 and table[31, 17] == 0
    assert table[31, 46] == table[31, 0] == table[0, 31] == CLASSES - 1 and table[0, 0] == 14
    assert ages(np.array([[1], [1], [2], [2], [2]]))[:, 0].tolist() == [0, 1, 0, 1, 2]
    with pytest.raises(RequestError, match="between"):
        ids_of(np.full((2, 4), LOWEST - 1, np.int16))


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_known_before_it_is_told(seed: int) -> None:
    training = [chorale(10 + k) for k in range(3)]
    held_out = chorale(seed)
    at = 17 + 4 * seed
    before = predictions([*training, held_out], 3)[3]
    assert before.shape[:2] == (len(held_out), 4) and before.shape[3] == CLASSES
    assert np.allclose(np.exp(before.astype(np.float64)).sum(axis=-1), 1, atol=0.02)
    for place, voice in enumerate(ORDER):
        other = held_out.copy()
        other[at, voice] += 3
        other[at + 1 :] = chorale(99)[at + 1 :]
        after = predictions([*training, other], 3)[3]
        assert np.array_equal(before[:at], after[:at])
        assert np.array_equal(before[at, : place + 1], after[at, : place + 1])
        assert place == 3 or not np.array_equal(before[at, place + 1 :], after[at, place + 1 :])


def test_a_training_piece_is_told_as_if_it_were_new() -> None:
    grids = [chorale(k) for k in range(4)]
    inside = predictions(grids, 4)[3]
    outside = predictions(grids, 3)[3]
    assert np.array_equal(inside, outside)


def test_a_family_is_told_at_three_levels() -> None:
    assert [levels(n) for n in (1, 2, 3, 5, 8)] == [[0], [0, 1], [1, 2], [2, 3, 4], [3, 6, 7]]
    narrow = hashed(np.array([0, 1, 0, 1]))
    family = Family("two", [hashed(np.zeros(4)), narrow])
    piece, y = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    p = predict(family, y, 2, piece, np.ones(4, np.bool_))
    assert p.shape == (4, 2, 2)
    assert p[0, 0].tolist() == [0.5, 0.5] and p[0, 1, 0] == pytest.approx(0.4 + 0.6 * 0.5)


def test_transposed_music_is_told_alike_but_for_its_register() -> None:
    grids = [chorale(k) for k in range(3)]
    moved = [*grids[:2], np.where(grids[2] == REST, REST, grids[2] + 2).astype(np.int16)]
    a, b = predictions(grids, 2)[2], predictions(moved, 2)[2]
    alike = [np.array_equal(a[:, :, k], b[:, :, k]) for k in range(a.shape[2])]
    assert 0 < len(alike) - sum(alike) <= 6  # the register, and keys that are as likely as each other


def test_moves_of_a_voice_are_its_last_ones() -> None:
    grid = np.repeat(np.array([[60, 55, 52, 48], [62, 55, 52, 48], [59, 55, 52, 48]], np.int16), [3, 2, 2], axis=0)
    sizes, lengths = Steps.of([grid]).last_moves
    assert sizes[2, 0, 0] == 99 and sizes[4, 0, 0] == 2 and sizes[6, 0, :2].tolist() == [-3, 2]
    assert lengths[6, 0, :2].tolist() == [2, 3]
