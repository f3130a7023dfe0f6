from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musegen.corpus.encode import encode
from musegen.errors import RequestError
from musegen.evaluate.likelihood import Array, Sequences, evaluate, markdown_table, windows
from musegen.evaluate.markov import MarkovModel, best_discount, transpositions
from musegen.tokens import Remi
from tests.tiny_corpus import tune

PIECES = [encode(tune(seed, bars=6 + 8 * (seed % 3)), "folk", f"source{seed % 2}") for seed in range(6)]
VOCABULARY_SIZE = Remi.vocabulary.size


@given(head=st.integers(1, 10), bars=st.lists(st.integers(1, 40), min_size=1, max_size=30), room=st.integers(2, 100))
def test_windows_charge_every_token_once_and_fit(head: int, bars: list[int], room: int) -> None:
    edges = np.cumsum([head, *bars])
    context = head + room
    charged: list[int] = []
    for w in windows(edges[:-1], int(edges[-1]), context):
        assert head + w.stop - w.start <= context
        assert w.start <= w.charged < w.stop
        charged += range(w.charged, w.stop)
        if max(bars) <= room:
            assert {w.start, w.charged, w.stop} <= set(edges.tolist())
    assert charged == list(range(head, int(edges[-1])))


def test_a_head_that_fills_the_context_is_refused() -> None:
    with pytest.raises(RequestError, match="head"):
        windows(np.array([9]), 20, 10)


def test_the_uniform_scorer_costs_log_v_a_token() -> None:
    def uniform(sequences: Sequences) -> list[Array]:
        return [np.full(len(ids) - 1, np.log(VOCABULARY_SIZE)) for ids, _ in sequences]

    for context in (40, 4096):
        result = evaluate(uniform, PIECES, context)
        assert list(result) == ["source0", "source1", "all"]
        tokens = sum(len(p.ids) - int(p.bars[0]) for p in PIECES)
        assert result["all"].tokens == tokens
        assert result["all"].notes == sum(p.n_notes for p in PIECES)
        assert result["all"].nats == pytest.approx(tokens * np.log(VOCABULARY_SIZE))
    with pytest.raises(RequestError, match="no held-out"):
        evaluate(uniform, [], 512)
    assert markdown_table({"uniform": result}).count("\n") == 3


@pytest.fixture(scope="module")
def model() -> MarkovModel:
    maps = [Remi().transposition(k) for k in range(-2, 3)]
    return MarkovModel([row for p in PIECES[:5] for row in transpositions(p.ids, maps)], VOCABULARY_SIZE, order=3)


@pytest.mark.parametrize("discount", [0.0, 0.5, 3.0, 100.0])
def test_markov_distributions_sum_to_one(model: MarkovModel, discount: float) -> None:
    model.discount = discount
    ids = PIECES[5].ids.tolist()
    for history in ([], ids[:1], ids[:20], ids[:77], [VOCABULARY_SIZE - 1] * 4):
        p = model.distribution(history)
        assert p.sum() == pytest.approx(1.0)
        assert (p >= 0).all()


def test_markov_scores_are_its_distributions(model: MarkovModel) -> None:
    model.discount = 1.0
    piece = PIECES[5]
    (losses,) = model([(piece.ids, piece.attributes)])
    for t in (1, 2, 3, 30, len(piece.ids) - 1):
        assert losses[t - 1] == pytest.approx(-np.log(model.distribution(piece.ids[:t].tolist())[piece.ids[t]]))


def test_markov_beats_the_uniform_distribution_on_new_music(model: MarkovModel) -> None:
    model.discount = 1.0
    result = evaluate(model, PIECES[5:], 512)["all"]
    assert result.nats < 0.6 * result.tokens * np.log(VOCABULARY_SIZE)
    chosen = best_discount(model, [0.5, 2.0, 8.0], PIECES[5:], 512).discount
    others = []
    for discount in (0.5, 2.0, 8.0):
        model.discount = discount
        others.append(evaluate(model, PIECES[5:], 512)["all"].nats)
    assert others[(0.5, 2.0, 8.0).index(chosen)] == min(others)


def test_a_markov_model_by_hand() -> None:
    model = MarkovModel([np.array([0, 1, 0, 1, 0, 2])], vocab_size=4, order=1, discount=0.0)
    assert model.distribution([0]).tolist() == pytest.approx([0, 2 / 3, 1 / 3, 0])
    assert model.distribution([3]).tolist() == pytest.approx([2 / 5, 2 / 5, 1 / 5, 0])
    model.discount = 0.6  # of 2 and of 1 it takes 0.6: 1.2 of 3 goes to the shorter history, 1.8 of 5 on to the uniform
    shorter = (1 - 0.6) / 5 + 1.8 / 5 / 4
    assert model.distribution([0])[2] == pytest.approx((1 - 0.6) / 3 + 1.2 / 3 * shorter)
    with pytest.raises(RequestError, match="lower it"):
        MarkovModel([np.arange(1000)], 1000, order=7)
    with pytest.raises(RequestError, match="sequences"):
        MarkovModel([], 4)
