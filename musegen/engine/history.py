"""A network made of a function: what follows, given the last ids of a piece. So a Markov model decodes like the others.

Letters: T tokens, V ids.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Distribution = Callable[[Sequence[int]], npt.NDArray[Any]]
"""Ids read so far -> probabilities (V,) of the next."""
Ints = npt.NDArray[np.integer[Any]]


class HistoryCache:
    """The last ids of each slot."""

    def __init__(self, n_slots: int) -> None:
        self.rows: list[list[int]] = [[] for _ in range(n_slots)]

    def copy(self, source: int, target: int) -> None:
        """Let a slot hold what another does."""
        self.rows[target] = list(self.rows[source])


class HistoryModel:
    """A distribution over ids given the last `order` of them, called like musegen.engine (attributes are not read)."""

    can_go_back = False

    def __init__(self, distribution: Distribution, order: int) -> None:
        self.distribution, self.order = distribution, order

    def new_cache(self, n_slots: int, capacity: int) -> HistoryCache:  # noqa: ARG002  # called like the others
        """Slots that have read nothing."""
        return HistoryCache(n_slots)

    def read(
        self, cache: HistoryCache, ids: Ints, _attributes: Ints, slots: Ints, places: Ints, wanted: Ints
    ) -> npt.NDArray[np.float32]:
        """Log-probabilities (lines, V) of what follows the tokens that are wanted; place 0 forgets the slot."""
        lines = {}
        for token, slot, place, line in zip(
            ids.tolist(), slots.tolist(), places.tolist(), wanted.tolist(), strict=True
        ):
            row = [*cache.rows[slot], token] if place else [token]
            cache.rows[slot] = row[-self.order :] if self.order else []
            if line >= 0:
                lines[line] = np.log(self.distribution(cache.rows[slot]))
        return np.stack([lines[line] for line in sorted(lines)]).astype(np.float32)
