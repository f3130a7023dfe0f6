"""From shards to batches.

Examples are drawn piece by piece as `examples` says. Batch number s follows from (seed, s) alone, so a resumed run
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

from musegen.corpus.shards import Split
from musegen.errors import RequestError
from musegen.tokens import VOCABULARY
from musegen.train.config import TrainConfig
from musegen.train.examples import Example, Source, draw

PAD = VOCABULARY.id("PAD")
POOL_BATCHES = 16
"""Batches drawn together, so that examples of like length share one and little is padded."""

_NO_TARGET = -100


@dataclass(frozen=True, eq=False)
class Batch:
    """ids (B, T), attributes (B, T, A + 2) and targets (B, T) int64: the next token, -100 where none is learned."""

    ids: Tensor
    attributes: Tensor
    targets: Tensor

    @property
    def n_tokens(self) -> int:
        """How many tokens are learned from."""
        return int((self.targets != _NO_TARGET).sum())


class Sampler:
    """Draws examples from the train split: a source by its weight, then a piece by its length."""

    def __init__(self, split: Split, config: TrainConfig) -> None:
        if not len(split):
            raise RequestError("these shards have no pieces in train; build the corpus with training pieces")
        self.split = split
        self.config = config
        self.cumulative = np.cumsum(piece_weights(split, config))
        self._sources: dict[int, Source] = {}
        rng = np.random.default_rng([config.seed, 2**31])
        self.mean_length = float(np.mean([len(self.draw(rng).ids) for _ in range(256)]))

    def draw(self, rng: np.random.Generator) -> Example:
        """One example."""
        index = min(int(np.searchsorted(self.cumulative, rng.random(), side="right")), len(self.cumulative) - 1)
        if index not in self._sources:  # all pieces are kept: 26 bytes a note
            self._sources[index] = Source.of(self.split[index])
        return draw(self._sources[index], self.config, rng)

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


def piece_weights(split: Split, config: TrainConfig) -> npt.NDArray[np.float64]:
    """(P,) the chance of each piece: `source_weights` are shares of the tokens that a run sees.

    Sources that are not named share what is left by the square root of their tokens. Within a source a piece
    counts once for each context that its tokens fill.

    Raises:
        RequestError: if nothing has a weight.
    """
    lengths = np.diff(split.arrays["pieces"]).astype(np.float64)
    sources = split.arrays["sources"]
    present = [i for i in range(len(split.source_names)) if (sources == i).any()]
    named = {
        i: config.source_weights[name] for i, name in enumerate(split.source_names) if name in config.source_weights
    }
    roots = {i: float(np.sqrt(lengths[sources == i].sum())) for i in present if i not in named}
    left = max(0.0, 1.0 - sum(named.values())) if named else 1.0
    shares = named | {i: left * root / sum(roots.values()) for i, root in roots.items()}
    weights = np.maximum(1.0, lengths / config.context)
    for i in present:
        here = sources == i
        tokens = (weights * np.minimum(lengths, config.context))[here].sum()
        weights[here] *= shares[i] / tokens
    if not weights.sum() > 0:
        raise RequestError("source_weights leave nothing to train on")
    chances: npt.NDArray[np.float64] = weights / weights.sum()
    return chances


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
        if e.unlearned is not None:
            targets[row, : n - 1][e.unlearned[1:]] = _NO_TARGET
    return Batch(torch.from_numpy(ids), torch.from_numpy(attributes), torch.from_numpy(targets))
