"""The pieces that a network is writing: what it reads next, and what it forgets when the context is full.

What a network says of a piece does not depend on those beside it, to the last bit (musegen.engine).

Letters: T tokens, A attributes, V ids.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from struct import Struct

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


class Reader:
    """Slots of one network's cache, with the history of each occupied one.

    A history is a string of bytes: of each token its id and attributes as 32-bit integers. Lists of tuples Python's
    collector would look through again and again.

    Attributes:
        n_slots: how many pieces there are at most.
        logits: (n_slots, V) of what follows the piece in each occupied slot.

    Args:
        network: what reads.
        n_slots: see above.
        context: most tokens of a piece that the network sees at once.
        is_bar: (V,) which ids open a bar.
    """

    def __init__(self, network: Network, n_slots: int, context: int, is_bar: BoolArray) -> None:
        self._network, self._context, self._is_bar = network, context, is_bar
        self.n_slots = n_slots
        self.logits: FloatArray = np.empty((n_slots, 0))
        self._alone = n_slots  # one more slot, which keeps the last prompt
        self._cache: Cache = network.new_cache(n_slots + 1, context)
        self._alone_key, self._alone_logits = b"", np.zeros(0)
        self._histories: dict[int, bytearray] = {}
        self._lengths: dict[int, int] = {}
        self._row = Struct("")  # slot, place, id, attributes

    def recent(self, slot: int, n_tokens: int) -> IntArray:
        """The latest ids of a slot."""
        ids: IntArray = self._table(self._histories[slot][-n_tokens * (self._row.size - 8) :])[:, 0]
        return ids

    def put(self, slot: int, prompt: Prompt) -> None:
        """Begin a piece in a slot."""
        ids, attributes = prompt
        if len(ids) == 0:
            raise ValueError("a prompt holds at least one id")
        rows = np.column_stack((ids, attributes)).astype(np.int32)
        self._row = Struct(f"{2 + rows.shape[1]}i")
        self._histories[slot] = bytearray(rows.tobytes())
        self._prefill(slot, whole=len(ids) < self._context)

    def drop(self, slot: int) -> None:
        """Leave a slot idle."""
        del self._histories[slot]

    def select(self, slots: Sequence[int]) -> None:
        """Let the pieces of these slots be those of slots 0, 1, ...; the others are dropped. Needs a free slot.

        One may be named more than once. What follows them is known again when they have read on.
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
        self._histories = {new: histories[old][:] for new, old in enumerate(slots)}
        self._lengths = {new: lengths[old] for new, old in enumerate(slots)}

    def room(self, slot: int) -> int:
        """How many more ids of a slot the context has room for."""
        return self._context - self._lengths[slot]

    def read(self, tokens: Mapping[int, Sequence[Reading]]) -> dict[int, FloatArray]:
        """Read one more id, with its attributes, in these slots.

        Where several are given, the others are a draft, for which there must be `room`: what would follow each of them
        is given back, (n, V) for each such slot, and `accept` makes one part of the piece. A slot whose context is full
        is read anew from its head and last bars.
        """
        table, slots = bytearray(), []
        pack, lengths = self._row.pack, self._lengths
        for slot, readings in tokens.items():
            place = lengths[slot]
            token, attributes = readings[0]
            row = pack(slot, place, token, *attributes)
            self._histories[slot] += row[8:]
            if place >= self._context:
                self._prefill(slot, whole=False)
                continue
            lengths[slot] = place + 1
            slots.append(slot)
            table += row
            if len(readings) > 1:
                for at, (token, attributes) in enumerate(readings[1:], place + 1):
                    table += pack(slot, at, token, *attributes)
        return self._read(slots, table, tokens) if slots else {}

    def _read(
        self, slots: list[int], rows: bytearray, tokens: Mapping[int, Sequence[Reading]]
    ) -> dict[int, FloatArray]:
        """Read what is in `rows`: one token of each of these slots, or several."""
        table = np.frombuffer(rows, np.int32).reshape(-1, self._row.size // 4)
        lines = np.arange(len(table), dtype=np.int32)
        after = self._network.read(self._cache, table[:, 2], table[:, 3:], table[:, 0], table[:, 1], lines)
        if len(slots) == len(table):
            self.logits[slots] = after
            return {}
        drafts, first = {}, 0
        for slot in slots:
            n = len(tokens[slot])
            self.logits[slot] = after[first]
            drafts[slot] = after[first + 1 : first + n].astype(np.float64)
            first += n
        return drafts

    def accept(self, slot: int, reading: Reading, after: FloatArray) -> None:
        """Make the next id of a draft part of the piece; `after` is what follows it (V,)."""
        token, attributes = reading
        self._histories[slot] += self._row.pack(slot, self._lengths[slot], token, *attributes)[8:]
        self._lengths[slot] += 1
        self.logits[slot] = after

    def _table(self, history: bytearray) -> IntArray:
        """(T, 1 + A): ids and attributes of a history that stays as it is, or of a part of one."""
        return np.frombuffer(history, np.int32).reshape(-1, self._row.size // 4 - 2)

    def _prefill(self, slot: int, *, whole: bool) -> None:
        """Read a slot's history, all of it or what `window` keeps."""
        history = self._table(self._histories[slot][:])
        if not whole:
            history = history[window(self._is_bar[history[:, 0]], self._context // 2)]
        n_tokens, key = len(history), history.tobytes()
        if key != self._alone_key:  # several samples of one prompt read it once
            wanted = np.full(n_tokens, -1)
            wanted[-1] = 0
            slots, places = np.full(n_tokens, self._alone), np.arange(n_tokens)
            after = self._network.read(self._cache, history[:, 0], history[:, 1:], slots, places, wanted)
            self._alone_logits, self._alone_key = after[0].astype(np.float64), key
        if not self.logits.size:
            self.logits = np.empty((self.n_slots, len(self._alone_logits)))
        self._cache.copy(self._alone, slot)
        self._lengths[slot] = n_tokens
        self.logits[slot] = self._alone_logits
