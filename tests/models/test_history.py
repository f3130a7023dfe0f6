"""What follows the last ids of a row: the cache, the network made of a function, and pieces written with one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
import torch

from musegen.compose import Request
from musegen.compose.autoregressive import AutoregressiveComposer
from musegen.corpus.encode import encode
from musegen.evaluate.markov import MarkovModel, transpositions
from musegen.models.history import HistoryCache, HistoryModel
from musegen.score import timing
from musegen.tokens import Remi
from tests.tiny_corpus import tune


def read_three() -> HistoryCache:
    """Three rows of order 2, which have read 1, 2 and 3 ids."""
    cache = HistoryCache(3, 2)
    for row in range(3):
        cache.read(row, [10 * row + k for k in range(row + 1)])
    return cache


def test_a_row_keeps_the_last_ids_and_counts_them_all() -> None:
    cache = read_three()
    assert cache.rows == [[0], [10, 11], [21, 22]]
    assert cache.lengths.tolist() == [1, 2, 3]
    cache.read(2, [7, 8, 9])
    assert cache.rows[2] == [8, 9] and cache.lengths.tolist() == [1, 2, 6]


def test_order_zero_keeps_nothing() -> None:
    cache = HistoryCache(1, 0)
    cache.read(0, [4, 5])
    assert cache.rows == [[]] and cache.lengths.tolist() == [2]


def test_select_keeps_rows_in_their_order_each_on_its_own() -> None:
    cache = read_three()
    cache.select(torch.tensor([2, 0, 2]))
    assert cache.rows == [[21, 22], [0], [21, 22]]
    assert cache.lengths.tolist() == [3, 1, 3]
    cache.read(0, [5])
    assert cache.rows == [[22, 5], [0], [21, 22]]


def test_insert_takes_the_only_row_of_another_cache() -> None:
    cache, other = read_three(), HistoryCache(1, 2)
    other.read(0, [1, 2, 3, 4])
    cache.insert(1, other)
    other.read(0, [9])
    assert cache.rows == [[0], [3, 4], [21, 22]]
    assert cache.lengths.tolist() == [1, 4, 3]


def test_reset_forgets_the_rows_named_or_all() -> None:
    cache = read_three()
    cache.reset(torch.tensor([0, 2]))
    assert cache.rows == [[], [10, 11], []] and cache.lengths.tolist() == [0, 2, 0]
    cache.reset()
    assert cache.rows == [[], [], []] and cache.lengths.tolist() == [0, 0, 0]


def successor(history: Sequence[int]) -> npt.NDArray[np.float64]:
    """Nearly sure of the sum of the last two ids, of five."""
    p = np.full(5, 0.01)
    p[sum(history[-2:]) % 5] = 0.96
    return p


def test_logits_are_of_what_follows_the_last_token_cached_or_not() -> None:
    model = HistoryModel(successor, 2, 64)
    ids = torch.tensor([[1, 2, 4], [3, 3, 3]])
    attributes = torch.zeros(2, 3, 1, dtype=torch.int64)
    whole = model(ids, attributes)
    assert whole.shape == (2, 1, 5) and whole.argmax(-1).flatten().tolist() == [1, 1]
    assert torch.exp(whole).sum(-1).flatten().tolist() == pytest.approx([1.0, 1.0])
    cache = model.new_cache(2, 8)
    model(ids[:, :2], attributes, cache)
    assert torch.equal(model(ids[:, 2:], attributes, cache), whole)
    assert cache.lengths.tolist() == [3, 3]


@pytest.fixture(scope="module")
def composer() -> AutoregressiveComposer:
    """A Markov model of twelve tunes in four keys."""
    maps = [Remi().transposition(k) for k in range(-2, 2)]
    rows = [row for seed in range(12) for row in transpositions(encode(tune(seed), "folk", "folk").ids, maps)]
    markov = MarkovModel(rows, Remi.vocabulary.size, order=3, discount=0.5)
    return AutoregressiveComposer("markov", HistoryModel(markov.distribution, 3, 512), {"styles": ["folk"]}, "")


def wish(seed: int) -> Request:
    return Request(bars=4, style="folk", meter=(4, 4), seed=seed)


def test_a_markov_model_composes_whole_pieces(composer: AutoregressiveComposer) -> None:
    for score in composer.compose([wish(1), wish(2)]):
        assert timing.n_bars(score) == 4 and score.n_notes >= 8
        [track] = [track for track in score.tracks if len(track.notes)]
        # The tunes it has counted go in eighths and quarters; other lengths come from the uniform part, seldom.
        usual = np.isin(track.notes["duration"], (score.ticks_per_beat // 2, score.ticks_per_beat))
        assert usual.mean() > 0.8


def test_the_same_seed_gives_the_same_notes_alone_and_in_a_batch(composer: AutoregressiveComposer) -> None:
    first, second, again = composer.compose([wish(1), wish(2), wish(1)])
    [alone] = composer.compose([wish(1)])
    assert first.tracks == again.tracks == alone.tracks
    assert first.tracks != second.tracks
