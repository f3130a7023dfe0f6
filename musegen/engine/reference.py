"""The transformer of musegen.models as kernel.c decodes with it, in NumPy: the same bits, where there is no compiler.

Letters: T tokens, A attributes, V ids, C width, H query heads, K key/value heads, G = H / K, D width of a head,
I and M pairs of a head that turn by index and by musical time, L tokens read before.
"""

from __future__ import annotations

import math

import numpy as np

from musegen.engine.arithmetic import Product, f32, gelu, normalized, power, quantized, turned
from musegen.engine.weights import Floats, Ints, Matrix, Turns, Weights, offsets
from musegen.shapes import BAR, LEFT, ONSET, POSITION, ModelConfig

FINE = 16383
"""The largest weight of a token in attention: two digits of seven bits."""
UNIT = 524288
"""Into so many parts of 1 the weights of attention are cut before they are summed, so that the sum is exact."""


class ReferenceCache:
    """Keys and values as integers, (slots, layers, K, capacity, D), and their scales, (slots, layers, K, capacity)."""

    def __init__(self, config: ModelConfig, n_slots: int, capacity: int) -> None:
        shape = (n_slots, config.n_layer, config.n_kv_head, capacity)
        self.keys, self.values = (np.zeros((*shape, config.d_head), f32) for _ in range(2))
        self.key_scales, self.value_scales = (np.zeros(shape, f32) for _ in range(2))

    def copy(self, source: int, target: int) -> None:
        """Let a slot hold what another does."""
        for array in (self.keys, self.values, self.key_scales, self.value_scales):
            array[target] = array[source]


class ReferenceTransformer:
    """The network; `read` is the whole of it."""

    can_go_back = True

    def __init__(self, config: ModelConfig, weights: Weights) -> None:
        self.config = config
        self._table, self._norm = weights["embedding.weight"], weights["norm.weight"]
        self._head = Product(Matrix.of(self._table[: config.vocab_size]))
        self._layers = [_Layer(config, weights, layer) for layer in range(config.n_layer)]
        self._turns, self._offsets = Turns.of(config), offsets(config)

    def new_cache(self, n_slots: int, capacity: int) -> ReferenceCache:
        """Slots for so many pieces of at most `capacity` tokens."""
        return ReferenceCache(self.config, n_slots, capacity)

    def read(
        self, cache: ReferenceCache, ids: Ints, attributes: Ints, slots: Ints, places: Ints, wanted: Ints
    ) -> Floats:
        """Read tokens and say what follows some of them; see CompiledTransformer.read."""
        x = self._table[ids]
        for column, offset in enumerate(self._offsets.tolist()):
            x = x + self._table[attributes[:, column] + offset]
        angles = self._angles(attributes, places)
        for number, layer in enumerate(self._layers):
            x = layer(x, angles, cache, number, slots, places)
        lines = np.flatnonzero(wanted >= 0)
        logits = np.empty((len(lines), self.config.vocab_size), f32)
        if len(lines):
            logits[wanted[lines]] = self._head(normalized(x[lines], self._norm))
        return logits

    def _angles(self, attributes: Ints, places: Ints) -> tuple[Floats, Floats]:
        """Cosines and sines (T, 2, D / 2), of queries and of keys."""
        by_index = np.repeat((places[:, None] * self._turns.by_index)[:, None], 2, axis=1)
        length = np.maximum(attributes[:, POSITION] + attributes[:, LEFT], 1).astype(np.float64)
        bars = [attributes[:, BAR] + attributes[:, step] / length for step in (POSITION, ONSET)]
        musical = np.stack(bars, axis=1)[:, :, None] * self._turns.musical
        return turned(np.concatenate((by_index, musical), axis=-1))


class _Layer:
    def __init__(self, config: ModelConfig, weights: Weights, number: int) -> None:
        self._config = config
        name = f"blocks.{number}."
        names = ("attention.qkv", "attention.out", "feed_in", "feed_out")
        self._qkv, self._out, self._feed_in, self._feed_out = (
            Product(Matrix.of(weights[f"{name}{part}.weight"])) for part in names
        )
        self._attention_norm, self._feed_norm = (weights[f"{name}{part}_norm.weight"] for part in ("attention", "feed"))

    def __call__(
        self, x: Floats, angles: tuple[Floats, Floats], cache: ReferenceCache, number: int, slots: Ints, places: Ints
    ) -> Floats:
        """(T, C) -> (T, C)."""
        c = self._config
        heads = self._qkv(normalized(x, self._attention_norm)).reshape(len(x), -1, c.d_head)  # (T, H + 2 K, D)
        cosines, sines = (np.repeat(part, (c.n_head, c.n_kv_head), axis=1) for part in angles)  # (T, H + K, D / 2)
        first, second = np.split(heads[:, : c.n_head + c.n_kv_head], 2, axis=-1)
        turned_heads = np.concatenate(
            (first * cosines - second * sines, second * cosines + first * sines), axis=-1
        )  # (T, H + K, D)
        keys, values = turned_heads[:, c.n_head :], heads[:, c.n_head + c.n_kv_head :]
        for (store, scales), new in (
            ((cache.keys, cache.key_scales), keys),
            ((cache.values, cache.value_scales), values),
        ):
            integers, worth = quantized(new)
            store[slots, number, :, places] = integers
            scales[slots, number, :, places] = worth[..., 0]
        mixed = np.empty((len(x), c.n_head, c.d_head), f32)
        group = c.n_head // c.n_kv_head
        for t, (slot, place) in enumerate(zip(slots.tolist(), places.tolist(), strict=True)):
            for k in range(c.n_kv_head):
                rows = slice(k * group, (k + 1) * group)
                mixed[t, rows] = _attend(turned_heads[t, rows], cache, (slot, number, k), place + 1)
        x = x + self._out(mixed.reshape(len(x), -1))
        return x + self._feed_out(gelu(self._feed_in(normalized(x, self._feed_norm))))


def _attend(queries: Floats, cache: ReferenceCache, at: tuple[int, int, int], length: int) -> Floats:
    """What the heads of one group (G, D) read from the first `length` tokens."""
    unit = f32(1.4426950408889634 / math.sqrt(queries.shape[-1]))
    integers, scales = quantized(queries)
    dots = integers @ cache.keys[at][:length].T  # (G, L)
    scores = dots * (scales * unit * cache.key_scales[at][:length])
    shares = power(scores - scores.max(axis=-1, keepdims=True))
    whole = np.rint(shares * f32(UNIT)).sum(axis=-1, keepdims=True, dtype=np.float64).astype(f32) * f32(1 / UNIT)
    shares = shares * cache.value_scales[at][:length]
    top = shares.max(axis=-1, keepdims=True)
    small = top <= f32(1e-30)
    weights = np.rint(shares * np.where(small, f32(0), f32(FINE) / np.where(small, f32(1), top)))
    coarse, fine = np.divmod(weights.astype(np.int64), 128)
    values = cache.values[at][:length].astype(np.float64)
    sums = [(digits @ values).astype(f32) for digits in (coarse, fine)]
    result: Floats = (sums[0] * f32(128) + sums[1]) * (top / f32(FINE)) / whole
    return result
