"""What decoding asks of the things it is given: a network, its cache, and a grammar state per row.

Decoding knows them by these shapes only; `musegen.models` and `musegen.tokens` have them.

Letters: B rows, T tokens, A attributes, V ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

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
    """What a network remembers of the pieces that it reads, each in a slot."""

    def copy(self, source: int, target: int, /) -> None:
        """Let a slot hold what another does."""


class Network(Protocol):
    """A network that decodes (musegen.engine)."""

    can_go_back: bool
    """Whether a slot can be read on from an earlier place, as if nothing had been read behind it."""

    def new_cache(self, n_slots: int, capacity: int, /) -> Any:
        """A `Cache` for so many pieces of at most `capacity` tokens."""

    def read(
        self, cache: Any, ids: IntArray, attributes: IntArray, slots: IntArray, places: IntArray, wanted: IntArray, /
    ) -> npt.NDArray[np.float32]:
        """Read tokens (T,) with their attributes (T, A), each of a slot and behind `places` others of it.

        The tokens of a slot come in their order. The result are the logits (lines, V) of what follows those tokens
        whose `wanted`, the number of their line, is not -1.
        """
