"""How fast a network could be decoded at most: what a token needs, and what this machine gives."""

from __future__ import annotations

import ctypes
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np

from musegen.engine.compiled import Library, Packed
from musegen.engine.weights import Matrix
from musegen.shapes import ModelConfig, parameters

ROWS, N_OUT, N_IN = 16, 512, 1024
"""Of the product that is timed: half a megabyte of weights, which the second cache holds."""
CALLS, TRIES = 20, 10


@dataclass(frozen=True)
class Needs:
    """What a token needs.

    Attributes:
        weights: bytes of 8-bit weights, read once a step for all its rows.
        cache: bytes of 8-bit keys and values of a row.
        multiplications: of a row, those with keys and values included.
    """

    weights: int
    cache: int
    multiplications: int

    @classmethod
    def of(cls, config: ModelConfig, place: int) -> Needs:
        """Behind `place` other tokens."""
        shapes = [shape for name, shape in parameters(config).items() if name.startswith("blocks.")]
        weights = sum(math.prod(shape) for shape in shapes if len(shape) > 1) + config.vocab_size * config.d_model
        numbers = 2 * place * config.n_layer * config.d_head
        return cls(weights, numbers * config.n_kv_head, weights + numbers * config.n_head)

    def bytes_of(self, batch: int) -> float:
        """What is read for a token of a step with so many rows."""
        return self.weights / batch + self.cache


def bandwidth(n_bytes: int, threads: int) -> float:
    """Bytes a second of an array of this size, each thread reading its part again and again."""
    parts = np.array_split(np.ones(n_bytes // 8, np.int64), threads)
    return _rate([part.max for part in parts], n_bytes / threads)


def arithmetic(found: Library, threads: int) -> float:
    """Multiplications a second of the kernel's product of 8-bit integers."""
    return _rate([_Product(found) for _ in range(threads)], ROWS * N_OUT * N_IN)


class _Product:
    """CompiledProduct without what Python does around it, which takes a fifth of the time of so small a product."""

    def __init__(self, found: Library) -> None:
        random = np.random.default_rng(0)
        self._packed = Packed.of(Matrix.of(random.standard_normal((N_OUT, N_IN)).astype(np.float32)))
        rows = random.standard_normal((ROWS, N_IN)).astype(np.float32)
        scratch = (np.empty((ROWS, N_IN), np.int8), np.empty(ROWS, np.float32), np.empty((ROWS, N_OUT), np.int32))
        self._arrays = (rows, *scratch, np.empty((ROWS, N_OUT), np.float32))
        first, *others = (array.ctypes.data for array in self._arrays)
        self._call = partial(found.project, ctypes.addressof(self._packed.record), first, ROWS, *others)

    def __call__(self) -> None:
        self._call()


def _rate(works: Sequence[Callable[[], object]], amount: float) -> float:
    """What works of this amount, each in a thread of its own, do in a second together; the best of some tries."""

    def often(work: Callable[[], object]) -> None:
        for _ in range(CALLS):
            work()

    times = []
    with ThreadPoolExecutor(len(works)) as pool:
        for _ in range(TRIES):
            began = time.perf_counter()
            list(pool.map(often, works))
            times.append(time.perf_counter() - began)
    return len(works) * CALLS * amount / min(times)
