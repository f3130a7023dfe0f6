"""What a piece is likely to say next, since it has said so before: drafts that are read along with the next token.

Speculative decoding (Stern et al. 2018; Leviathan et al. 2023) with the piece itself as the draft. The next id is
chosen from the network's logits as ever, by the row's own draws; where it is the one drafted, what follows it is known
already. So the ids are those that come out without drafts, not only their distribution.
"""

from __future__ import annotations

from collections.abc import Sequence

from musegen.decoding.protocol import IntArray, State

MATCH = 4
"""So many ids must have come before in the same order."""
LONGEST = 8
"""Most ids of a draft."""
FEW_ROWS = 1
"""Drafts are made where no more rows than this are in work: beyond, a step waits for the rows that missed."""

Reading = tuple[int, Sequence[int] | IntArray]
"""An id and its attributes."""


class Repeats:
    """Where each run of MATCH ids of a piece was last; looked up when somebody asks for the first time."""

    def __init__(self, ids: list[int]) -> None:
        self._ids = ids
        self._n_known = 0  # ids whose run before them is in `_after`
        self._after: dict[tuple[int, ...], int] = {}

    def add(self, token: int) -> None:
        """Take the next id."""
        self._ids.append(token)

    def guess(self) -> list[int]:
        """What followed when the latest ids came before; nothing if they did not."""
        ids = self._ids
        for at in range(self._n_known, len(ids)):
            self._after[tuple(ids[max(0, at - MATCH) : at])] = at
        self._n_known = len(ids)
        after = self._after.get(tuple(ids[-MATCH:]), len(ids))
        return ids[after : after + LONGEST]


def drafted(repeats: Repeats, state: State) -> list[Reading]:
    """What the piece may go on with, each id with its attributes, as far as its grammar allows it."""
    guesses = repeats.guess()
    if not guesses:
        return []
    ahead, draft = state.copy(), list[Reading]()
    for token in guesses:
        if not ahead.allowed()[token]:
            break
        ahead.advance(token)
        if ahead.done:
            break
        draft.append((token, ahead.attributes))
    return draft
