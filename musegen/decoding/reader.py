"""A batch of sequences that one network reads: prefill, step, and what to forget when the context is full.

A row's logits must not depend on its neighbours, to the last bit: sample 3 of 8 is sample 3 alone.
A matrix product of few rows runs through another kernel than one of many: measured on x86-64 with MKL, rows
agree bit by bit from 4 rows on with one thread, and with two at multiples of 4. So the batch always has a
multiple of ROW_MULTIPLE rows, the idle ones reading padding, and a prompt is read alone.

Letters: S slots (rows of the batch, idle ones included), T tokens, A attributes, V ids.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from musegen.decoding.protocol import BoolArray, Cache, FloatArray, IntArray, Network
from musegen.errors import RequestError

ROW_MULTIPLE = 8

Prompt = tuple[IntArray, IntArray]
"""Ids (T,) and their attributes (T, A)."""


def padded(n_rows: int) -> int:
    """The number of slots for so many rows."""
    return -(-n_rows // ROW_MULTIPLE) * ROW_MULTIPLE


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
    """S slots of one network's cache, with the history of each occupied one.

    Args:
        model: in evaluation mode (ValueError otherwise: dropout would make every reading another).
        n_slots: how many rows are read at once; rounded up to ROW_MULTIPLE.
        context: most tokens of a row that the network sees at once.
        is_bar: (V,) which ids open a bar.
    """

    def __init__(self, model: Network, n_slots: int, context: int, is_bar: BoolArray) -> None:
        if model.training:
            raise ValueError("the model is in training mode: call model.eval() first")
        self._model, self._context, self._is_bar = model, context, is_bar
        self._device = next(model.parameters()).device
        self.n_slots = padded(n_slots)
        with torch.inference_mode():
            self._cache: Cache = model.new_cache(self.n_slots, context)
            self._alone: Cache = model.new_cache(1, context)
        self._alone_key, self._alone_logits = b"", np.zeros(0)
        self._histories: dict[int, tuple[list[int], list[Sequence[int] | IntArray]]] = {}

    def recent(self, slot: int, n_tokens: int) -> list[int]:
        """The latest ids of a slot."""
        return self._histories[slot][0][-n_tokens:]

    def put(self, slot: int, prompt: Prompt) -> FloatArray:
        """Begin a sequence in a slot; the logits (V,) of what follows it."""
        ids, attributes = prompt
        if len(ids) == 0:
            raise ValueError("a prompt holds at least one id")
        self._histories[slot] = (ids.tolist(), list(attributes))
        return self._prefill(slot, whole=len(ids) < self._context)

    def drop(self, slot: int) -> None:
        """Leave a slot idle."""
        del self._histories[slot]

    @torch.inference_mode()
    def select(self, slots: Sequence[int]) -> None:
        """Let the sequences of these slots be those of slots 0, 1, ...; the others are dropped.

        One may be named more than once. The number of slots shrinks if fewer will do.
        """
        fewer = padded(len(slots))
        rows = torch.tensor([*slots, *[slots[0]] * (fewer - len(slots))])
        self._cache.select(rows)
        self.n_slots = fewer
        old = self._histories
        self._histories = {new: (list(old[slot][0]), list(old[slot][1])) for new, slot in enumerate(slots)}

    @torch.inference_mode()
    def read(self, tokens: Mapping[int, tuple[int, Sequence[int] | IntArray]]) -> FloatArray:
        """Read one more id, with its attributes, in these slots; the logits (S, V) of what follows in them.

        A slot whose context is full is read anew from its head and last bars. Occupied slots that are not named
        stay as they are.
        """
        n_attributes = len(next(iter(tokens.values()))[1])
        ids = torch.zeros(self.n_slots, 1, dtype=torch.int64)
        attributes = torch.zeros(self.n_slots, 1, n_attributes, dtype=torch.int64)
        lengths = self._cache.lengths.tolist()
        full = [slot for slot in self._histories if lengths[slot] >= self._context]
        for slot, (token, values) in tokens.items():
            history = self._histories[slot]
            history[0].append(token)
            history[1].append(values)
            ids[slot, 0] = token
            attributes[slot, 0] = torch.as_tensor(np.asarray(values, np.int64))
        idle = [slot for slot in range(self.n_slots) if slot not in self._histories or slot in full]
        self._cache.reset(torch.tensor(idle, dtype=torch.int64))
        logits = self._forward(ids, attributes, self._cache)
        held = [slot for slot in self._histories if slot not in tokens and slot not in full]
        if held:
            self._cache.lengths[held] -= 1
        for slot in full:
            logits[slot] = self._prefill(slot, whole=False)
        return logits

    def _forward(self, ids: Tensor, attributes: Tensor, cache: Cache) -> FloatArray:
        """(B, T), (B, T, A) -> logits (B, V) after the last token."""
        logits = self._model(ids.to(self._device), attributes.to(self._device), cache)[:, -1]
        on_host: FloatArray = logits.double().cpu().numpy()
        return on_host

    @torch.inference_mode()
    def _prefill(self, slot: int, *, whole: bool) -> FloatArray:
        """Read a slot's history alone, all of it or what `window` keeps; the logits (V,) of what follows."""
        ids, attributes = self._histories[slot]
        id_row, attribute_rows = np.asarray(ids, np.int64), np.asarray(attributes, np.int64)
        if not whole:
            kept = window(self._is_bar[id_row], self._context // 2)
            id_row, attribute_rows = id_row[kept], attribute_rows[kept]
        key = id_row.tobytes() + attribute_rows.tobytes()
        if key != self._alone_key:  # several samples of one prompt read it once
            self._alone.reset()
            inputs = torch.from_numpy(id_row)[None], torch.from_numpy(attribute_rows)[None]
            self._alone_logits = self._forward(*inputs, self._alone)[0]
            self._alone_key = key
        self._cache.insert(slot, self._alone)
        return self._alone_logits
