"""A network made of a function: what follows, given the last ids of a row. So a Markov model decodes like the others.

Letters: B rows, T tokens, V ids.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Distribution = Callable[[Sequence[int]], npt.NDArray[Any]]
"""Ids read so far -> probabilities (V,) of the next."""


class HistoryCache:
    """The last ids of each row."""

    def __init__(self, batch: int, order: int) -> None:
        self.order = order
        self.rows: list[list[int]] = [[] for _ in range(batch)]
        self.lengths = torch.zeros(batch, dtype=torch.int64)

    def select(self, rows: Tensor) -> None:
        """Keep these rows, in this order."""
        self.rows = [list(self.rows[row]) for row in rows.tolist()]
        self.lengths = self.lengths[rows]

    def insert(self, row: int, source: HistoryCache) -> None:
        """Replace a row by the only row of `source`."""
        self.rows[row] = list(source.rows[0])
        self.lengths[row] = source.lengths[0]

    def reset(self, rows: Tensor | None = None) -> None:
        """Forget these rows (all of them without `rows`)."""
        for row in range(len(self.rows)) if rows is None else rows.tolist():
            self.rows[row] = []
            self.lengths[row] = 0

    def read(self, row: int, ids: Sequence[int]) -> None:
        """Take more ids of a row."""
        self.rows[row] = [*self.rows[row], *ids][-self.order :] if self.order else []
        self.lengths[row] += len(ids)


@dataclass(frozen=True)
class Shape:
    """What decoding asks of a configuration."""

    context: int


class HistoryModel:
    """A distribution over ids given the last `order` of them, called like the networks (attributes are not read)."""

    training = False

    def __init__(self, distribution: Distribution, order: int, context: int) -> None:
        self.distribution, self.order = distribution, order
        self.config = Shape(context)
        self._place = torch.zeros(1)

    def parameters(self) -> Iterator[Tensor]:
        """One number, which says where the logits lie."""
        yield self._place

    def new_cache(self, batch: int, capacity: int) -> HistoryCache:  # noqa: ARG002  # called like the transformer
        """Rows that have read nothing."""
        return HistoryCache(batch, self.order)

    def __call__(self, ids: Tensor, attributes: Tensor, cache: HistoryCache | None = None) -> Tensor:  # noqa: ARG002
        """Log-probabilities of what follows the last token of each row: (B, T) -> (B, 1, V)."""
        cache = HistoryCache(ids.shape[0], self.order) if cache is None else cache
        logits = []
        for row, new in enumerate(ids.tolist()):
            cache.read(row, new)
            logits.append(np.log(self.distribution(cache.rows[row])))
        return torch.from_numpy(np.stack(logits)).unsqueeze(1)
