"""The LSTM of musegen.models as it decodes: 8-bit weights, its state in single precision.

Letters: B rows, V ids, C width, S hidden size.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from musegen.engine.arithmetic import Product, f32, normalized, sigmoid, tanh
from musegen.engine.compiled import CompiledProduct, Library
from musegen.engine.weights import Floats, Ints, Matrix, Weights, offsets
from musegen.shapes import ModelConfig

Projection = Callable[[Floats], Floats]


class LSTMCache:
    """Hidden and cell state of each slot, (slots, layers, S)."""

    def __init__(self, config: ModelConfig, n_slots: int) -> None:
        self.hidden, self.cell = (np.zeros((n_slots, config.n_layer, config.d_ff), f32) for _ in range(2))

    def copy(self, source: int, target: int) -> None:
        """Let a slot hold what another does."""
        self.hidden[target], self.cell[target] = self.hidden[source], self.cell[source]


class LSTM:
    """The network (Hochreiter and Schmidhuber, 1997)."""

    can_go_back = False

    def __init__(self, config: ModelConfig, weights: Weights, found: Library | None) -> None:
        self.config = config
        self._table, self._norm = weights["embedding.weight"], weights["norm.weight"]

        def product(weight: Floats) -> Projection:
            matrix = Matrix.of(weight)
            return Product(matrix) if found is None else CompiledProduct(matrix, found)

        self._head, self._out = product(self._table[: config.vocab_size]), product(weights["out.weight"])
        self._offsets = offsets(config)
        self._layers: list[tuple[Projection, Projection, Floats]] = [
            (
                product(weights[f"lstm.weight_ih_l{layer}"]),
                product(weights[f"lstm.weight_hh_l{layer}"]),
                weights[f"lstm.bias_ih_l{layer}"] + weights[f"lstm.bias_hh_l{layer}"],
            )
            for layer in range(config.n_layer)
        ]

    def new_cache(self, n_slots: int, capacity: int) -> LSTMCache:  # noqa: ARG002  # called like the transformer
        """Slots for so many pieces."""
        return LSTMCache(self.config, n_slots)

    def read(self, cache: LSTMCache, ids: Ints, attributes: Ints, slots: Ints, places: Ints, wanted: Ints) -> Floats:
        """Read tokens and say what follows some of them; see CompiledTransformer.read. Place 0 forgets the slot."""
        x = self._table[ids]
        for column, offset in enumerate(self._offsets.tolist()):
            x = x + self._table[attributes[:, column] + offset]
        logits = np.empty((int((wanted >= 0).sum()), self.config.vocab_size), f32)
        for first, last in _spans(slots):
            rows = slots[first:last]
            hidden = self._step(cache, x[first:last], rows, places[first:last] == 0)
            lines = wanted[first:last]
            if (lines >= 0).any():
                logits[lines[lines >= 0]] = self._head(normalized(self._out(hidden[lines >= 0]), self._norm))
        return logits

    def _step(self, cache: LSTMCache, x: Floats, slots: Ints, begins: Ints) -> Floats:
        """One token of each of these slots, (B, C) -> (B, S)."""
        cache.hidden[slots[begins]] = cache.cell[slots[begins]] = 0
        for layer, (ih, hh, bias) in enumerate(self._layers):
            gates = ih(x) + hh(cache.hidden[slots, layer]) + bias
            i, f, g, o = np.split(gates, 4, axis=-1)
            cell = sigmoid(f) * cache.cell[slots, layer] + sigmoid(i) * tanh(g)
            x = sigmoid(o) * tanh(cell)
            cache.cell[slots, layer], cache.hidden[slots, layer] = cell, x
        return x


def _spans(slots: Ints) -> list[tuple[int, int]]:
    """Cuts between which no slot comes twice, so that those tokens can be read together."""
    spans, first, seen = [], 0, set[int]()
    for at, slot in enumerate(slots.tolist()):
        if slot in seen:
            spans.append((first, at))
            first, seen = at, set()
        seen.add(slot)
    return [*spans, (first, len(slots))] if len(slots) else []
