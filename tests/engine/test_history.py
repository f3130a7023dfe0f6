"""What follows the last ids of a slot: the network made of a function, and pieces written with one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from musegen.compose import Request
from musegen.compose.autoregressive import AutoregressiveComposer
from musegen.corpus.encode import encode
from musegen.engine.history import HistoryModel
from musegen.evaluate.markov import MarkovModel, transpositions
from musegen.score import timing
from musegen.tokens import Remi
from tests.tiny_corpus import tune


def successor(history: Sequence[int]) -> npt.NDArray[np.float64]:
    """Nearly sure of the sum of the last two ids, of five."""
    p = np.full(5, 0.01)
    p[sum(history[-2:]) % 5] = 0.96
    return p


def test_logits_are_of_what_follows_the_last_ids_of_each_slot() -> None:
    model = HistoryModel(successor, 2)
    cache = model.new_cache(3, 8)

    def read(*tokens: tuple[int, int, int]) -> npt.NDArray[np.float32]:
        ids, slots, places = (np.array(column) for column in zip(*tokens, strict=True))
        return model.read(cache, ids, np.zeros((len(ids), 1)), slots, places, np.arange(len(ids)))

    lines = read((1, 0, 0), (3, 1, 0), (2, 0, 1), (4, 0, 2))
    assert lines.argmax(-1).tolist() == [1, 3, 3, 1]
    assert np.exp(lines).sum(-1) == pytest.approx(1.0, abs=1e-5)
    cache.copy(0, 2)
    assert read((3, 2, 3), (3, 1, 1)).argmax(-1).tolist() == [2, 1]
    assert cache.rows == [[2, 4], [3, 3], [4, 3]]
    assert read((1, 0, 0)).argmax(-1).tolist() == [1] and cache.rows[0] == [1], "place 0 begins anew"


def test_order_zero_keeps_nothing() -> None:
    model = HistoryModel(successor, 0)
    cache = model.new_cache(1, 8)
    zeros = np.zeros(2, np.int64)
    model.read(cache, np.array([3, 4]), np.zeros((2, 1)), zeros, np.arange(2), np.array([-1, 0]))
    assert cache.rows == [[]]


@pytest.fixture(scope="module")
def composer() -> AutoregressiveComposer:
    """A Markov model of twelve tunes in four keys."""
    maps = [Remi().transposition(k) for k in range(-2, 2)]
    rows = [row for seed in range(12) for row in transpositions(encode(tune(seed), "folk", "folk").ids, maps)]
    markov = MarkovModel(rows, Remi.vocabulary.size, order=3, discount=0.5)
    return AutoregressiveComposer("markov", HistoryModel(markov.distribution, 3), 512, {"styles": ["folk"]}, "")


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
