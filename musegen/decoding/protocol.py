"""What decoding asks of the things it is given: a network, its cache, and a grammar state per row.

Decoding knows them by these shapes only; `musegen.models` and `musegen.tokens` have them.

Letters: B rows, T tokens, A attributes, V ids.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from torch import Tensor

BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.integer[Any]]
FloatArray = npt.NDArray[np.float64]


class State(Protocol):
    """Where one row stands in its grammar."""

    @property
    def done(self) -> bool:
        """Whether the piece is complete."""

    @property
    def attributes(self) -> Sequence[int] | IntArray:
        """The A extra inputs that go with the last token."""

    def allowed(self) -> BoolArray:
        """(V,) the ids that may follow; never all False until `done`."""

    def advance(self, token: int, /) -> None:
        """Take one id."""

    def copy(self) -> State:
        """An independent state at the same place (beam search)."""


class Shadow(Protocol):
    """A row as guidance reads it beside itself: the same music without what was asked for."""

    @property
    def attributes(self) -> Sequence[int] | IntArray:
        """The A extra inputs that go with the last token it read."""

    def advance(self, token: int, /) -> bool:
        """Take an id that the row's state has just taken; False where the shadow does not read it."""


class Cache(Protocol):
    """What a network remembers of the rows it has read."""

    lengths: Tensor
    """(B,) int64 on the CPU: tokens read in each row. A row whose length is lowered by one has not read its last
    token: guidance needs that, which a recurrent network cannot do."""

    def select(self, rows: Tensor, /) -> None:
        """Keep these rows, in this order."""

    def insert(self, row: int, source: Any, /) -> None:
        """Replace a row by the only row of another cache of the same network."""

    def reset(self, rows: Tensor | None = None, /) -> None:
        """Forget these rows (or all)."""


class Network(Protocol):
    """A network in evaluation mode."""

    training: bool

    def __call__(self, ids: Tensor, attributes: Tensor, cache: Any = None, /) -> Tensor:
        """(B, T), (B, T, A) int64 -> logits (B, T, V)."""

    def new_cache(self, batch: int, capacity: int, /) -> Any:
        """An empty `Cache`."""

    def parameters(self) -> Iterator[Tensor]:
        """The weights; the inputs go to the device of the first."""
