"""The transformer as kernel.c decodes with it, by way of ctypes.

Letters: T tokens, A attributes, V ids, N inputs and E outputs of a matrix.
"""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from musegen.engine.weights import Floats, Ints, Matrix, Turns, Weights, offsets
from musegen.shapes import ModelConfig

LIBRARY = Path(__file__).with_name("kernel.bin")
"""What build.py makes of kernel.c where the package is installed with a C compiler."""
BLOCK, QUAD = 64, 4
"""Outputs and inputs of a matrix that lie together."""
MOST_HEADS = 64
"""Query heads that may share a key/value head: kernel.c has room for so many."""

_int, _pointer = ctypes.c_int32, ctypes.c_void_p


class _Matrix(ctypes.Structure):
    _fields_ = [("n_in", _int), ("n_out", _int), ("packed", _pointer), ("sums", _pointer), ("scales", _pointer)]


class _Layer(ctypes.Structure):
    _fields_ = [(name, _Matrix) for name in ("qkv", "out", "feed_in", "feed_out")] + [
        (name, _pointer) for name in ("attention_norm", "feed_norm")
    ]


class _Model(ctypes.Structure):
    _fields_ = (
        [
            (name, _int)
            for name in ("width", "n_layer", "n_head", "n_kv", "d_head", "d_ff", "n_ids", "n_attributes", "n_index",
                         "n_musical")
        ]
        + [("layers", _pointer), ("head", _Matrix)]
        + [(name, _pointer) for name in ("norm", "table", "offsets", "sizes", "index_turns", "musical_turns")]
    )  # fmt: skip


class _Cache(ctypes.Structure):
    _fields_ = [
        ("capacity", _int),
        ("n_slots", _int),
        *((name, _pointer) for name in ("keys", "values", "key_sums", "key_scales", "value_scales")),
    ]


@dataclass(frozen=True)
class Library:
    """kernel.c for this processor."""

    variant: str
    """Which of those it was compiled in: plain, avx2, vnni, dot."""
    begin: Callable[..., int | None]
    finish: Callable[[int], None]
    forward: Callable[..., int]
    project: Callable[..., None]


@lru_cache(maxsize=1)
def library() -> Library | None:
    """The library beside this file, or None where it was not built or is not for this machine."""
    try:
        loaded = ctypes.CDLL(str(LIBRARY))
    except OSError:
        return None
    loaded.best_variant.restype = ctypes.c_char_p
    return variant_of(loaded, loaded.best_variant().decode())


def variant_of(loaded: Any, variant: str) -> Library:
    """One of the variants in the library."""
    functions = [getattr(loaded, f"{name}_{variant}") for name in ("begin", "finish", "forward", "project")]
    begin, finish, forward, project = functions
    begin.argtypes, begin.restype = [_pointer, _int, _int], _pointer
    finish.argtypes, finish.restype = [_pointer], None
    forward.argtypes, forward.restype = [_pointer, _pointer, _int, *[_pointer] * 6], _int
    project.argtypes, project.restype = [_pointer, _pointer, _int, *[_pointer] * 4], None
    return Library(variant, *functions)


def up(n: int, multiple: int) -> int:
    """The next multiple."""
    return -(-n // multiple) * multiple


@dataclass(frozen=True, eq=False)
class Packed:
    """A Matrix as kernel.c has it, and the arrays that its record points into."""

    record: _Matrix
    arrays: tuple[npt.NDArray[Any], ...]

    @classmethod
    def of(cls, matrix: Matrix) -> Packed:
        """In blocks of outputs by fours of inputs, filled up with zeros."""
        n_out, n_in = matrix.integers.shape
        integers = np.zeros((up(n_out, BLOCK), up(n_in, QUAD)), np.int8)
        integers[:n_out, :n_in] = matrix.integers
        blocks = integers.reshape(-1, BLOCK, integers.shape[1] // QUAD, QUAD).transpose(0, 2, 1, 3)
        scales = np.zeros(len(integers), np.float32)
        scales[:n_out] = matrix.scales
        arrays = (np.ascontiguousarray(blocks), integers.sum(axis=1, dtype=np.int32), scales)
        return cls(_Matrix(integers.shape[1], len(integers), *(array.ctypes.data for array in arrays)), arrays)


class CompiledProduct:
    """A Matrix as kernel.c multiplies by it; called like arithmetic.Product."""

    def __init__(self, matrix: Matrix, found: Library) -> None:
        self._packed, self._project, self._n_out = Packed.of(matrix), found.project, len(matrix.scales)

    def __call__(self, x: Floats) -> Floats:
        """(T, N) -> (T, E), by way of 8-bit integers."""
        record = self._packed.record
        rows = np.zeros((len(x), record.n_in), np.float32)
        rows[:, : x.shape[1]] = x
        room = (np.empty(rows.shape, np.int8), np.empty(len(x), np.float32), np.empty((len(x), record.n_out), np.int32))
        result = np.empty((len(x), record.n_out), np.float32)
        pointers = [array.ctypes.data for array in (*room, result)]
        self._project(ctypes.addressof(record), rows.ctypes.data, len(x), *pointers)
        return result[:, : self._n_out]


class CompiledCache:
    """Keys and values of each slot as kernel.c packs them, and what it works with."""

    def __init__(self, network: CompiledTransformer, n_slots: int, capacity: int) -> None:
        config, found = network.config, network.kernel
        self.capacity = up(capacity, BLOCK)
        matrices = (n_slots, config.n_layer * config.n_kv_head)
        self.arrays = (
            np.zeros((*matrices, self.capacity * up(config.d_head, QUAD)), np.int8),
            np.zeros((*matrices, self.capacity * up(config.d_head, BLOCK)), np.int8),
            np.zeros((*matrices, self.capacity), np.int32),
            np.zeros((*matrices, self.capacity), np.float32),
            np.zeros((*matrices, self.capacity), np.float32),
        )
        self.record = _Cache(self.capacity, n_slots, *(array.ctypes.data for array in self.arrays))
        self.address = ctypes.addressof(self.record)
        work = found.begin(network.address, self.capacity, network.threads)
        if work is None:
            raise MemoryError("no memory or threads to decode with")
        self.work = work
        weakref.finalize(self, found.finish, work)

    def copy(self, source: int, target: int) -> None:
        """Let a slot hold what another does."""
        for array in self.arrays:
            array[target] = array[source]


class CompiledTransformer:
    """A transformer's weights as kernel.c wants them."""

    can_go_back = True

    def __init__(self, config: ModelConfig, weights: Weights, found: Library, *, threads: int = 1) -> None:
        self.config = config
        self.kernel, self.threads = found, threads
        self._held: list[npt.NDArray[Any]] = []  # what the record below points into
        table = weights["embedding.weight"]
        turns = Turns.of(config)
        layers = (_Layer * config.n_layer)()
        for number in range(config.n_layer):
            name = f"blocks.{number}."
            layers[number] = _Layer(
                *(
                    self._matrix(weights[f"{name}{part}.weight"])
                    for part in ("attention.qkv", "attention.out", "feed_in", "feed_out")
                ),
                *(self._hold(weights[f"{name}{part}_norm.weight"]) for part in ("attention", "feed")),
            )
        self._layers = layers
        sizes = np.array(config.attribute_sizes, np.int32)
        pointed: list[npt.NDArray[Any]] = [weights["norm.weight"], table, offsets(config), sizes]
        pointed += [turns.by_index, turns.musical]
        self._record = _Model(
            config.d_model, config.n_layer, config.n_head, config.n_kv_head, config.d_head, config.d_ff,
            config.vocab_size, len(config.attribute_sizes), len(turns.by_index), len(turns.musical),
            ctypes.addressof(layers), self._matrix(table[: config.vocab_size]), *map(self._hold, pointed),
        )  # fmt: skip
        self.address = ctypes.addressof(self._record)
        self._width = up(config.vocab_size, BLOCK)

    def _hold(self, array: npt.NDArray[Any]) -> int:
        """Keep an array in one piece, and say where it lies."""
        self._held.append(np.ascontiguousarray(array))
        return int(self._held[-1].ctypes.data)

    def _matrix(self, weights: Floats) -> _Matrix:
        packed = Packed.of(Matrix.of(weights))
        self._held += packed.arrays
        return packed.record

    def new_cache(self, n_slots: int, capacity: int) -> CompiledCache:
        """Slots for so many pieces of at most `capacity` tokens."""
        return CompiledCache(self, n_slots, capacity)

    def read(
        self, cache: CompiledCache, ids: Ints, attributes: Ints, slots: Ints, places: Ints, wanted: Ints
    ) -> Floats:
        """Read tokens and say what follows some of them.

        Args:
            cache: of this network; what it holds at these places and behind them is written over.
            ids: (T,).
            attributes: (T, A + 2), as the tokenizer derives them.
            slots: (T,) of which piece each token is; the tokens of a piece come in their order.
            places: (T,) how many tokens of the piece stand before it.
            wanted: (T,) in which line of the result a token's logits go, ascending from 0; -1 for none.

        Returns:
            Logits (lines, V) of what follows.

        Raises:
            IndexError: for numbers that are out of range; then nothing was read.
        """
        if attributes.shape != (len(ids), len(self.config.attribute_sizes) + 2):
            raise IndexError(f"attributes {attributes.shape} of {len(ids)} tokens of this network")
        columns = [np.ascontiguousarray(array, np.int32) for array in (ids, attributes, slots, places, wanted)]
        logits = np.empty((int(columns[-1].max()) + 1, self._width), np.float32)
        pointers = [array.__array_interface__["data"][0] for array in (*columns, logits)]
        if self.kernel.forward(cache.work, cache.address, len(ids), *pointers):
            raise IndexError("an id, slot, place or attribute that this network and cache do not have")
        return logits[:, : self.config.vocab_size]
