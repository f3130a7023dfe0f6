from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musegen.decoding import Ending, SamplingOptions, filters
from musegen.decoding.drafting import LONGEST, MATCH, Repeats
from musegen.decoding.protocol import IntArray
from musegen.engine import Decoder
from tests.decoding.fakes import (
    BAR,
    BOS,
    EOS,
    FIRST_WORD,
    VOCAB,
    BarState,
    EveryThird,
    TableNetwork,
    logits_after,
    run,
    tiny,
)

BARS, PER_BAR = 6, 9  # 61 tokens with EOS
WARM = SamplingOptions(temperature=1.3, top_p=0.98, repetition_penalty=1.1)


def pieces(n: int) -> list[BarState]:
    return [BarState(BARS, PER_BAR) for _ in range(n)]


@pytest.mark.parametrize("size", ["tiny", "tiny-lstm"])
def test_a_row_is_the_same_in_any_batch(size: str) -> None:
    model = tiny(size)
    eight, endings = run(model, pieces(8), WARM)
    assert all(len(row) == 61 and row[-1] == EOS for row in eight)
    assert set(endings.values()) == {Ending.DONE}
    assert len({tuple(row) for row in eight}) == 8
    for n in (1, 3):
        assert run(model, pieces(n), WARM)[0] == eight[:n]
    twenty, _ = run(model, pieces(20), WARM, slots=16)
    assert twenty[:8] == eight
    assert run(model, pieces(1), WARM, seeds=[19])[0] == twenty[19:]


@pytest.mark.parametrize("size", ["tiny", "tiny-lstm"])
def test_a_row_is_the_same_beside_longer_prompts(size: str) -> None:
    model = tiny(size)
    prompts = [[BOS], [BOS, BAR, 10, 11], [BOS, BAR, *range(20, 29), BAR, 40], [BOS, BAR, 50]] * 3
    states = [BarState(3 + i % 5, PER_BAR) for i in range(12)]
    together, _ = run(model, states, WARM, prompts=prompts)
    for i, prompt in enumerate(prompts):
        state = BarState(3 + i % 5, PER_BAR)
        assert run(model, [state], WARM, seeds=[i], prompts=[prompt])[0] == [together[i]]


def test_a_context_that_overflows_changes_nothing_for_the_neighbours() -> None:
    model = tiny()
    lengths = [12, 2, 9, 30]
    together, endings = run(model, [BarState(n, PER_BAR) for n in lengths], WARM, context=48)
    assert [len(row) for row in together] == [n * 10 + 1 for n in lengths]
    assert set(endings.values()) == {Ending.DONE}
    for i, n in enumerate(lengths):
        assert run(model, [BarState(n, PER_BAR)], WARM, seeds=[i], context=48)[0] == [together[i]]


def test_after_an_overflow_the_model_reads_the_head_and_the_last_bars() -> None:
    model = tiny()
    prompt = [BOS, BAR, *range(20, 29), BAR, *range(30, 39), BAR, *range(40, 46)]  # 28 tokens
    options = SamplingOptions(search="greedy")
    state = BarState(9, PER_BAR)
    (full,), _ = run(model, [state], options, prompts=[prompt], context=28)  # over at once: budget 14
    kept = [BOS, BAR, *range(40, 46)]

    attributes, probe = [], BarState(9, PER_BAR)
    for token in prompt:
        probe.advance(token)
        attributes.append(probe.attributes)
    seen = [0, *range(21, 28)]
    logits = logits_after(model, kept, [attributes[i] for i in seen])
    assert full[0] == np.where(probe.allowed(), logits, -np.inf).argmax()


def test_the_same_seed_gives_the_same_and_another_another() -> None:
    model = tiny()
    first, _ = run(model, pieces(2), seeds=[7, 7])
    assert first[0] == first[1]
    assert run(model, pieces(1), seeds=[8])[0][0] != first[0]


def test_more_tokens_allowed_continue_the_same_draws() -> None:
    model = tiny()
    short, endings = run(model, pieces(2), max_tokens=20)
    assert endings == {0: Ending.OUT_OF_TOKENS, 1: Ending.OUT_OF_TOKENS}
    assert [row[:20] for row in run(model, pieces(2))[0]] == short


def test_temperature_near_and_at_zero_is_greedy() -> None:
    model = tiny()
    greedy, _ = run(model, pieces(1), SamplingOptions(search="greedy"))
    for temperature in (1e-4, 0.0):
        assert run(model, pieces(3), SamplingOptions(temperature=temperature))[0] == greedy * 3


@pytest.mark.parametrize("size", ["tiny", "tiny-lstm"])
def test_a_beam_of_one_is_greedy(size: str) -> None:
    model = tiny(size)
    greedy, _ = run(model, pieces(2), SamplingOptions(search="greedy"))
    assert run(model, pieces(2), SamplingOptions(search="beam", beams=1))[0] == greedy
    greedy, _ = run(model, pieces(1), SamplingOptions(search="greedy"), context=48)
    assert run(model, pieces(1), SamplingOptions(search="beam", beams=1), context=48)[0] == greedy


def test_a_beam_scores_what_the_network_says() -> None:
    """The beam's caches, histories and states stay together when it reorders its sequences."""
    model = tiny(seed=6)
    likelihoods = []
    for options in (SamplingOptions(search="greedy"), SamplingOptions(search="beam", beams=10)):
        (ids,), endings = run(model, [BarState(2, 5)], options)
        assert endings == {0: Ending.DONE}
        state, total, places = BarState(2, 5), 0.0, []
        state.advance(BOS)
        places.append(state.attributes)
        for i, token in enumerate(ids):
            logits = np.where(state.allowed(), logits_after(model, [BOS, *ids[:i]], places), -np.inf)
            total += float(filters.log_softmax(logits)[token])
            state.advance(token)
            places.append(state.attributes)
        likelihoods.append(total)
    assert likelihoods[1] > likelihoods[0]


def test_the_grammar_has_the_last_word() -> None:
    certain = np.full((97, 97), 1e-9)
    certain[:, 0] = 1.0  # the network only wants PAD, which the grammar never allows
    (ids,), _ = run(TableNetwork(certain.tolist()), pieces(1))
    assert 0 not in ids
    assert ids[0] == BAR
    assert all(token >= FIRST_WORD for token in ids[1:10])


def test_rows_that_are_done_or_have_no_tokens_end_at_once() -> None:
    done = BarState(1, 1)
    done.done = True
    state = BarState(1, 2)
    written, endings = run(tiny(), [done, state], prompts=[[], [BOS]])
    assert written[0] == []
    assert len(written[1]) == 4
    assert endings == {0: Ending.DONE, 1: Ending.DONE}
    assert run(tiny(), [BarState(1, 2)], max_tokens=0) == ([[]], {0: Ending.OUT_OF_TOKENS})


GUIDED = SamplingOptions(search="greedy", guidance=2.5)


def guided_by_hand(model: Decoder, state: BarState) -> list[int]:
    """What guidance writes, each step from both whole sequences without any cache."""
    shadow, ids, places, read, read_places = EveryThird(), [BOS], [], [BOS], []
    state.advance(BOS)
    shadow.advance(BOS)
    places.append(state.attributes)
    read_places.append(shadow.attributes)
    while not state.done:
        own, anyway = logits_after(model, ids, places), logits_after(model, read, read_places)
        mixed = np.where(state.allowed(), filters.guide(own, anyway, 2.5), -np.inf)
        ids.append(int(mixed.argmax()))
        state.advance(ids[-1])
        places.append(state.attributes)
        if shadow.advance(ids[-1]):
            read.append(ids[-1])
            read_places.append(shadow.attributes)
    assert len(read) < len(ids)
    return ids[1:]


def test_guidance_reads_a_shadow_that_may_skip_tokens() -> None:
    model = tiny()
    expected = [guided_by_hand(model, BarState(1 + i % 3, 4 + i)) for i in range(5)]
    for slots in (16, 2, 1):
        states, shadows = [BarState(1 + i % 3, 4 + i) for i in range(5)], [EveryThird() for _ in range(5)]
        assert run(model, states, GUIDED, slots=slots, shadows=shadows)[0] == expected
    assert run(model, [BarState(1, 4)], SamplingOptions(search="greedy"))[0] != expected[:1]


def test_a_guided_row_that_outgrows_the_context_is_the_same_alone_and_among_others() -> None:
    model, options = tiny(), SamplingOptions(guidance=1.5)
    alone = [
        run(model, [BarState(6, 9)], options, [seed], context=32, shadows=[EveryThird()])[0][0] for seed in range(3)
    ]
    together, _ = run(
        model, [BarState(6, 9) for _ in range(3)], options, context=32, shadows=[EveryThird() for _ in range(3)]
    )
    assert together == alone and len(alone[0]) == 6 * 10 + 1
    with pytest.raises(ValueError, match="zip"):
        run(model, [BarState(1, 1)], options)


REPEATING = [[0.01 / 90] * VOCAB for _ in range(VOCAB)]  # a table in which each word has a usual successor
for word in range(VOCAB):
    REPEATING[word][FIRST_WORD + (word * 7) % 11] = 0.9


class Counted(TableNetwork):
    """A network that remembers how many tokens each call read."""

    def __init__(self) -> None:
        super().__init__(REPEATING)
        self.calls: list[int] = []

    def read(self, cache: Any, ids: IntArray, *rest: IntArray) -> Any:
        self.calls.append(len(ids))
        return super().read(cache, ids, *rest)


@pytest.mark.parametrize("options", [WARM, SamplingOptions(search="greedy"), SamplingOptions(temperature=0.7)])
def test_drafts_change_no_id_and_save_readings(options: SamplingOptions) -> None:
    for make in (Counted, tiny):
        for n_rows in (1, 3):
            plain, drafting = make(), make()
            expected = run(plain, pieces(n_rows), options, drafts=False)
            assert run(drafting, pieces(n_rows), options) == expected
            if isinstance(plain, Counted) and isinstance(drafting, Counted):
                assert (max(drafting.calls) > 1) == (n_rows == 1) or n_rows == max(drafting.calls)
                if n_rows == 1 and options.search == "greedy":
                    assert len(drafting.calls) < 0.6 * len(plain.calls)


def test_drafts_stop_at_the_end_of_the_context() -> None:
    options = SamplingOptions(search="greedy")
    for context in (40, 41, 48):
        with_drafts = run(tiny(), pieces(1), options, context=context)
        assert with_drafts == run(tiny(), pieces(1), options, context=context, drafts=False)


@settings(max_examples=50)
@given(st.lists(st.integers(0, 2), max_size=60))
def test_a_guess_is_what_followed_the_latest_same_run(ids: list[int]) -> None:
    guess, run_of = Repeats(ids).guess(), ids[-MATCH:]
    before = [i for i in range(MATCH, len(ids)) if ids[i - MATCH : i] == run_of]
    assert guess == (ids[before[-1] : before[-1] + LONGEST] if before and len(ids) >= MATCH else [])
