"""The pieces that a network is writing: what it reads next, and what it forgets when the context is full.

What a network says of a piece does not depend on those beside it, to the last bit (musegen.engine).

Letters: T tokens, A attributes, V ids.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from copy import copy

import numpy as np

from musegen.decoding.drafting import Reading
from musegen.decoding.protocol import BoolArray, Cache, FloatArray, IntArray, Network
from musegen.errors import RequestError

Prompt = tuple[IntArray, IntArray]
"""Ids (T,) and their attributes (T, A)."""


def window(bars: BoolArray, budget: int) -> IntArray:
    """Which tokens to keep when the context is full: the head and the last whole bars that fit the budget.

    Args:
        bars: (T,) which tokens open a bar; the head is what stands before the first.
        budget: most tokens to keep. If not even the last bar fits beside the head, its latest tokens stay.

    Returns:
        The kept indices, ascending. A head that fills the budget alone raises RequestError.
    """
    starts = np.flatnonzero(bars)
    head = int(starts[0]) if len(starts) else 0
    first = len(bars) - (budget - head)
    if first >= len(bars):
        raise RequestError(f"the piece's head takes {head} tokens of {budget}: use fewer instruments or controls")
    whole = starts[starts >= first]
    first = int(whole[0]) if len(whole) else first
    return np.concatenate((np.arange(head), np.arange(max(first, head), len(bars))))


class History:
    """The ids (T,) and attributes (T, A) that a piece has said so far, in two arrays that grow.

    Not in lists of tuples: Python's collector would look through them again and again.
    """

    def __init__(self, ids: IntArray, attributes: IntArray) -> None:
        self.ids, self.attributes = array("i", ids.tolist()), array("i", attributes.ravel().tolist())

    def copy(self) -> History:
        """An independent one."""
        twin = copy(self)
        twin.ids, twin.attributes = self.ids[:], self.attributes[:]
        return twin

    def add(self, token: int, attributes: Sequence[int] | IntArray) -> None:
        """Take the next id."""
        self.ids.append(token)
        self.attributes.extend(attributes)

    def rows(self) -> tuple[IntArray, IntArray]:
        """Both as NumPy has them."""
        ids = np.array(self.ids, np.int32)
        return ids, np.array(self.attributes, np.int32).reshape(len(ids), -1)


class Reader:
    """Slots of one network's cache, with the history of each occupied one.

    Args:
        network: what reads.
        n_slots: how many pieces there are at most.
        context: most tokens of a piece that the network sees at once.
        is_bar: (V,) which ids open a bar.
    """

    def __init__(self, network: Network, n_slots: int, context: int, is_bar: BoolArray) -> None:
        self._network, self._context, self._is_bar = network, context, is_bar
        self.n_slots = n_slots
        self._alone = n_slots  # one more slot, which keeps the last prompt
        self._cache: Cache = network.new_cache(n_slots + 1, context)
        self._alone_key, self._alone_logits = b"", np.zeros(0)
        self._histories: dict[int, History] = {}
        self._lengths: dict[int, int] = {}

    def recent(self, slot: int, n_tokens: int) -> list[int]:
        """The latest ids of a slot."""
        return self._histories[slot].ids[-n_tokens:].tolist()

    def put(self, slot: int, prompt: Prompt) -> FloatArray:
        """Begin a piece in a slot; the logits (V,) of what follows it."""
        ids, attributes = prompt
        if len(ids) == 0:
            raise ValueError("a prompt holds at least one id")
        self._histories[slot] = History(ids, attributes)
        return self._prefill(slot, whole=len(ids) < self._context)

    def drop(self, slot: int) -> None:
        """Leave a slot idle."""
        del self._histories[slot]

    def select(self, slots: Sequence[int]) -> None:
        """Let the pieces of these slots be those of slots 0, 1, ...; the others are dropped. Needs a free slot.

        One may be named more than once.
        """
        moves = {new: old for new, old in enumerate(slots) if new != old}
        while moves:
            free = next((new for new in moves if new not in moves.values()), None)
            if free is None:  # a ring of them: one makes room
                old = next(iter(moves.values()))
                self._cache.copy(old, self._alone)
                self._alone_key = b""
                moves = {new: self._alone if source == old else source for new, source in moves.items()}
                continue
            self._cache.copy(moves.pop(free), free)
        histories, lengths = self._histories, self._lengths
        self._histories = {new: histories[old].copy() for new, old in enumerate(slots)}
        self._lengths = {new: lengths[old] for new, old in enumerate(slots)}

    def room(self, slot: int) -> int:
        """How many more ids of a slot the context has room for."""
        return self._context - self._lengths[slot]

    def read(self, tokens: Mapping[int, Sequence[Reading]]) -> dict[int, FloatArray]:
        """Read one more id, with its attributes, in these slots; the logits of what follows, (1, V) in each.

        Where several are given, the others are a draft, for which there must be `room`: what would follow each of them
        is told too, (n, V), and `accept` makes one part of the piece. A slot whose context is full is read anew from
        its head and last bars.
        """
        for slot, readings in tokens.items():
            self._histories[slot].add(*readings[0])
        full = [slot for slot in tokens if self.room(slot) < 1]
        logits = {slot: self._prefill(slot, whole=False)[None] for slot in full}
        rows = [
            (slot, self._lengths[slot] + i, token, *attributes)
            for slot, readings in tokens.items()
            if slot not in full
            for i, (token, attributes) in enumerate(readings)
        ]
        if rows:
            table = np.array(rows, np.int32)
            after = self._network.read(
                self._cache, table[:, 2], table[:, 3:], table[:, 0], table[:, 1], np.arange(len(rows), dtype=np.int32)
            )
            lines = after.astype(np.float64)
            first = 0
            for slot, readings in tokens.items():
                if slot not in full:
                    logits[slot] = lines[first : first + len(readings)]
                    first += len(readings)
                    self._lengths[slot] += 1
        return logits

    def accept(self, slot: int, token: int, attributes: Sequence[int] | IntArray) -> None:
        """Make the next id of a draft part of the piece."""
        self._histories[slot].add(token, attributes)
        self._lengths[slot] += 1

    def _prefill(self, slot: int, *, whole: bool) -> FloatArray:
        """Read a slot's history, all of it or what `window` keeps; the logits (V,) of what follows."""
        id_row, attribute_rows = self._histories[slot].rows()
        if not whole:
            kept = window(self._is_bar[id_row], self._context // 2)
            id_row, attribute_rows = id_row[kept], attribute_rows[kept]
        n_tokens = len(id_row)
        key = id_row.tobytes() + attribute_rows.tobytes()
        if key != self._alone_key:  # several samples of one prompt read it once
            wanted = np.full(n_tokens, -1)
            wanted[-1] = 0
            slots = np.full(n_tokens, self._alone)
            logits = self._network.read(self._cache, id_row, attribute_rows, slots, np.arange(n_tokens), wanted)
            self._alone_logits, self._alone_key = logits[0].astype(np.float64), key
        self._cache.copy(self._alone, slot)
        self._lengths[slot] = n_tokens
        return self._alone_logits
