"""A small vocabulary, a grammar over it, and a network that is a table, for tests of decoding."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from musegen.decoding import Ending, SamplingOptions, generate
from musegen.decoding.protocol import BoolArray, FloatArray, IntArray, Network, State
from musegen.engine import Decoder, decoder
from musegen.shapes import parameters, preset

VOCAB = 97  # odd, so that no row of logits begins on a vector's boundary
ATTRIBUTE_SIZES = (8, 5)
BOS, EOS, BAR, FIRST_WORD = 1, 2, 3, 4
IS_BAR: BoolArray = np.arange(VOCAB) == BAR


class BarState:
    """A piece is bars of `per_bar` words (any id from FIRST_WORD on, no word twice in a row), then EOS."""

    def __init__(self, n_bars: int, per_bar: int) -> None:
        self.done = False
        self.bars_left, self.per_bar, self.words_left, self.last = n_bars, per_bar, 0, BOS
        self.n_tokens = 0

    @property
    def attributes(self) -> tuple[int, ...]:
        return (self.words_left % ATTRIBUTE_SIZES[0], self.n_tokens % ATTRIBUTE_SIZES[1], self.n_tokens // 8, 1)

    def allowed(self) -> BoolArray:
        row = np.zeros(VOCAB, np.bool_)
        if self.words_left:
            row[FIRST_WORD:] = True
            row[self.last] = False
        else:
            row[BAR if self.bars_left else EOS] = True
        return row

    def advance(self, token: int) -> None:
        assert token == BOS or self.allowed()[token], f"{token} is not allowed"
        self.n_tokens += 1
        if token == BAR:
            self.bars_left, self.words_left = self.bars_left - 1, self.per_bar
        elif token >= FIRST_WORD:
            self.words_left -= 1
        self.done = token == EOS
        self.last = token

    def copy(self) -> BarState:
        return copy.copy(self)


class EveryThird:
    """A shadow of a BarState that does not read ids divisible by three, but for those of the grammar."""

    def __init__(self) -> None:
        self.n_read = 0

    @property
    def attributes(self) -> tuple[int, ...]:
        return (self.n_read % ATTRIBUTE_SIZES[0], 1, self.n_read // 8, 0)

    def advance(self, token: int) -> bool:
        is_read = token < FIRST_WORD or token % 3 > 0
        self.n_read += is_read
        return is_read


class FreeState:
    """Anything may follow anything; EOS, or as many tokens as given, ends it."""

    attributes: tuple[int, ...] = ()

    def __init__(self, vocab_size: int, n_tokens: int) -> None:
        self.done = False
        self.vocab_size, self.tokens_left = vocab_size, n_tokens

    def allowed(self) -> BoolArray:
        return np.ones(self.vocab_size, np.bool_)

    def advance(self, token: int) -> None:
        self.tokens_left -= 1
        self.done = token == EOS or self.tokens_left == 0

    def copy(self) -> FreeState:
        return copy.copy(self)


class NoCache:
    """Remembers nothing."""

    def copy(self, source: int, target: int) -> None:
        pass


class TableNetwork:
    """A network whose logits are the logarithms of a row of a table, looked up by the last id."""

    can_go_back = True

    def __init__(self, probabilities: Sequence[Sequence[float]]) -> None:
        self.logits = np.log(np.array(probabilities)).astype(np.float32)

    def new_cache(self, n_slots: int, capacity: int) -> NoCache:
        return NoCache()

    def read(
        self, cache: NoCache, ids: IntArray, attributes: IntArray, slots: IntArray, places: IntArray, wanted: IntArray
    ) -> npt.NDArray[np.float32]:
        logits: npt.NDArray[np.float32] = self.logits[ids[wanted >= 0]]
        return logits


def tiny(size: str = "tiny", seed: int = 5) -> Decoder:
    """A random network, its weights large enough that it has opinions."""
    random, config = np.random.default_rng(seed), preset(size, VOCAB, ATTRIBUTE_SIZES)
    weights = {
        name: (np.ones(shape) if len(shape) == 1 else 0.12 * random.standard_normal(shape)).astype(np.float32)
        for name, shape in parameters(config).items()
    }
    return decoder(config, weights)


def logits_after(network: Decoder, ids: Sequence[int], attributes: Sequence[Sequence[int]]) -> FloatArray:
    """(V,) what follows, all of it read at once and anew."""
    n = len(ids)
    wanted = np.full(n, -1)
    wanted[-1] = 0
    inputs = (np.array(ids), np.array(attributes), np.zeros(n, np.int64), np.arange(n), wanted)
    result: FloatArray = network.read(network.new_cache(1, n), *inputs)[0].astype(np.float64)  # type: ignore[arg-type]
    return result


def run(
    model: Network,
    states: Sequence[State],
    options: SamplingOptions | None = None,
    seeds: Sequence[int] | None = None,
    *,
    prompts: Sequence[Sequence[int]] | None = None,
    max_tokens: int = 1000,
    context: int = 128,
    slots: int = 16,
    shadows: Sequence[EveryThird] = (),
    drafts: bool = True,
) -> tuple[list[list[int]], dict[int, Ending]]:
    """Every row's new ids, and how each ended. The states are taken through their prompts (BOS without any)."""
    prompts = [[BOS]] * len(states) if prompts is None else prompts
    inputs = []
    for state, prompt in zip(states, prompts, strict=True):
        attributes = []
        for token in prompt:
            state.advance(token)
            attributes.append(tuple(state.attributes))
        inputs.append((np.array(prompt), np.array(attributes, np.int64).reshape(len(prompt), len(state.attributes))))
    beside = []
    for shadow in shadows:
        shadow.advance(BOS)
        beside.append((shadow, (np.array([BOS]), np.array([shadow.attributes]))))
    written: list[list[int]] = [[] for _ in states]
    endings: dict[int, Ending] = {}
    vocab = len(states[0].allowed())
    for step in generate(
        model, states, inputs, options or SamplingOptions(), list(seeds or range(len(states))),
        max_tokens=max_tokens, context=context, is_bar=np.arange(vocab) == BAR, shadows=beside, slots=slots,
        drafts=drafts,
    ):  # fmt: skip
        assert not set(step.rows) & set(endings), "a row wrote after its end"
        for row, token in zip(step.rows, step.ids, strict=True):
            written[row].append(token)
        assert not set(step.endings) & set(endings), "a row ended twice"
        endings.update(step.endings)
    assert sorted(endings) == list(range(len(states)))
    return written, endings
