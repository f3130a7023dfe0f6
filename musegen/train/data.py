"""From shards to batches.

Every example is a piece's head and whole bars: from the start of a piece, from a random bar on (head unchanged, each
Bar still saying how many are left), or the end of a piece encoded as a piece of its own. Controls are dropped from
the head at random and the whole example is transposed. Batch number s follows from (seed, s) alone, so a resumed run
sees what an undisturbed one would.

Letters: B rows, T tokens, A attributes, V ids.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from musegen.corpus.shards import Array, Piece, Split
from musegen.errors import RequestError
from musegen.tokens import ATTRIBUTES, VOCABULARY, Remi
from musegen.tokens.vocabulary import DRUM_PROGRAM
from musegen.train.config import TrainConfig

PAD = VOCABULARY.id("PAD")
POOL_BATCHES = 16
"""Batches drawn together, so that examples of like length share one and little is padded."""

DROPPABLE = ("Style", "Key", "Tempo", "Bars", "Density", "Polyphony", "LOW")
"""Controls that may be left out of a head. LOW stands for the range: LOW, its pitch, HIGH, its pitch."""

_ATTRIBUTE_NAMES = [name for name, _ in ATTRIBUTES]
_PROGRAM = _ATTRIBUTE_NAMES.index("program")
_LAST_PITCH = _ATTRIBUTE_NAMES.index("last pitch of the track")
_NO_PITCH = ATTRIBUTES[_LAST_PITCH][1] - 1
_NO_TARGET = -100


@dataclass(frozen=True, eq=False)
class Example:
    """ids (T,), attributes (T, A); `unforeseen` indexes a token that must not be learned, -1 for none."""

    ids: Array
    attributes: Array
    unforeseen: int = -1


@dataclass(frozen=True, eq=False)
class Batch:
    """ids (B, T), attributes (B, T, A) and targets (B, T) int64: the next token, -100 where none is learned."""

    ids: Tensor
    attributes: Tensor
    targets: Tensor

    @property
    def n_tokens(self) -> int:
        """How many tokens are learned from."""
        return int((self.targets != _NO_TARGET).sum())


@lru_cache(maxsize=64)
def _id_map(semitones: int) -> npt.NDArray[np.int32]:
    return Remi().transposition(semitones)


def transpose(example: Example, semitones: int) -> Example | None:
    """The example in another key, what encoding the transposed score gives; None where a pitch leaves the range."""
    if semitones == 0:
        return example
    ids = _id_map(semitones)[example.ids]
    if (ids < 0).any():
        return None
    attributes = example.attributes.copy()
    last = attributes[:, _LAST_PITCH]
    moved = (last < _NO_PITCH) & (attributes[:, _PROGRAM] != DRUM_PROGRAM)
    last[moved] += semitones
    return Example(ids, attributes, example.unforeseen)


def head_rows(head: Array, rng: np.random.Generator, dropout: float) -> npt.NDArray[np.int64]:
    """Indices of the head's tokens that stay when each control is left out with a chance of `dropout`."""
    types = VOCABULARY.types[head]
    keep = np.ones(len(head), np.bool_)
    for name in DROPPABLE:
        if rng.random() < dropout:
            for at in np.flatnonzero(types == VOCABULARY.type_index[name]):
                keep[at : at + (4 if name == "LOW" else 1)] = False
    return np.flatnonzero(keep)


def window(piece: Piece, first: int, context: int, head: npt.NDArray[np.int64]) -> Example:
    """The rows `head` of the head, then whole bars from bar `first` on, as many as `context` holds (one at least)."""
    edges = np.append(piece.bars, len(piece.ids))
    start = int(edges[first])
    fits = np.searchsorted(edges, start + context - len(head), side="right") - 1
    stop = int(edges[max(fits, first + 1)])
    rows = np.concatenate([head, np.arange(start, stop)])[:context]
    unforeseen = len(head) if first > 0 else -1  # nothing before it says at which bar a window opens
    return Example(piece.ids[rows], piece.attributes[rows], unforeseen)


class Sampler:
    """Draws examples from the train split."""

    def __init__(self, split: Split, config: TrainConfig) -> None:
        if not len(split):
            raise RequestError("these shards have no pieces in train; build the corpus with training pieces")
        self.split = split
        self.config = config
        lengths = np.diff(split.arrays["pieces"])
        sources = split.arrays["sources"][split.whole]
        self.whole = split.whole
        self.tails = np.append(self.whole[1:], len(split)) - self.whole - 1  # suffixes after each whole piece
        weights = lengths[self.whole].astype(np.float64)
        total = weights.sum()
        shares = np.array([config.source_weights.get(name, 0.0) for name in split.source_names])
        unnamed = [i for i, name in enumerate(split.source_names) if name not in config.source_weights]
        for i in unnamed:
            shares[i] = weights[sources == i].sum() / total
        for i in range(len(shares)):
            here = sources == i
            if here.any():
                weights[here] *= shares[i] / weights[here].sum()
        if not weights.sum() > 0:
            raise RequestError("source_weights leave nothing to train on")
        self.cumulative = np.cumsum(weights / weights.sum())
        rng = np.random.default_rng([config.seed, 2**31])
        self.mean_length = float(np.mean([len(self.draw(rng).ids) for _ in range(256)]))

    def draw(self, rng: np.random.Generator) -> Example:
        """One example."""
        config = self.config
        at = min(int(np.searchsorted(self.cumulative, rng.random(), side="right")), len(self.whole) - 1)
        index, first = int(self.whole[at]), 0
        if rng.random() < config.whole_share or not self.tails[at]:
            if rng.random() >= config.from_start_share:
                first = int(rng.integers(len(self.split[index].bars)))
        else:
            index += 1 + int(rng.integers(self.tails[at]))
        piece = self.split[index]
        head = head_rows(piece.ids[: int(piece.bars[0])], rng, config.control_dropout)
        example = window(piece, first, config.context, head)
        low, high = config.max_transposition
        semitones = int(rng.integers(low, high + 1))
        return transpose(example, semitones) or example

    def pool(self, number: int) -> list[list[Example]]:
        """POOL_BATCHES groups of about `batch_tokens` tokens, each of like lengths, in random order."""
        rng = np.random.default_rng([self.config.seed, number])
        n = max(POOL_BATCHES, round(POOL_BATCHES * self.config.batch_tokens / self.mean_length))
        examples = sorted((self.draw(rng) for _ in range(n)), key=lambda e: len(e.ids))
        ends = np.cumsum([len(e.ids) for e in examples])
        cuts = np.searchsorted(ends, ends[-1] * np.arange(1, POOL_BATCHES) / POOL_BATCHES) + 1
        cuts = np.maximum(cuts, np.arange(1, POOL_BATCHES))
        edges = [0, *np.minimum(cuts, n - POOL_BATCHES + np.arange(1, POOL_BATCHES)).tolist(), n]
        groups = [examples[a:b] for a, b in pairwise(edges)]
        return [groups[i] for i in rng.permutation(POOL_BATCHES)]

    @lru_cache(maxsize=1)  # noqa: B019  # a Sampler lives as long as its run
    def _pool(self, number: int) -> list[list[Example]]:
        return self.pool(number)

    def batch(self, step: int) -> Batch:
        """Batch number `step` of the run."""
        return collate(self._pool(step // POOL_BATCHES)[step % POOL_BATCHES])


def collate(examples: list[Example]) -> Batch:
    """Pad examples at the end to one length, (B, T)."""
    longest = max(len(e.ids) for e in examples)
    n_attributes = examples[0].attributes.shape[1]
    ids = np.full((len(examples), longest), PAD, np.int64)
    attributes = np.zeros((len(examples), longest, n_attributes), np.int64)
    targets = np.full((len(examples), longest), _NO_TARGET, np.int64)
    for row, e in enumerate(examples):
        n = len(e.ids)
        ids[row, :n], attributes[row, :n] = e.ids, e.attributes
        targets[row, : n - 1] = e.ids[1:]
        if e.unforeseen > 0:
            targets[row, e.unforeseen - 1] = _NO_TARGET
    return Batch(torch.from_numpy(ids), torch.from_numpy(attributes), torch.from_numpy(targets))
