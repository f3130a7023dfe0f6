"""Weights as 8-bit integers, and what else a decoder takes from a network's weights.

Letters: C inputs, E outputs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from musegen.shapes import WAVELENGTHS, ModelConfig

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.integer[Any]]
Weights = Mapping[str, Floats]

LEVELS = 127
"""The largest 8-bit magnitude, of weights and of what multiplies them."""


@dataclass(frozen=True, eq=False)
class Matrix:
    """A projection x -> x W^T without bias, its weights integers (E, C) of int8 times a scale for each output (E,)."""

    integers: npt.NDArray[np.int8]
    scales: Floats

    @classmethod
    def of(cls, weights: Floats) -> Matrix:
        """The nearest such to (E, C) weights."""
        scales = (np.abs(weights).max(axis=1) / np.float32(LEVELS)).astype(np.float32)
        rows = weights / np.where(scales > 0, scales, np.float32(1))[:, None]
        return cls(np.rint(rows).astype(np.int8), scales)


@dataclass(frozen=True, eq=False)
class Turns:
    """By how much the pairs of a rotary head turn: (I,) turns a token, then (M,) turns a bar."""

    by_index: Doubles
    musical: Doubles

    @classmethod
    def of(cls, config: ModelConfig) -> Turns:
        """As models.transformer.Rotary has them."""
        n_musical = config.musical_pairs
        n_index = config.d_head // 2 - n_musical
        by_index = float(config.rope_theta) ** (-np.arange(n_index) / max(1, n_index)) / (2 * math.pi)
        musical = [1 / WAVELENGTHS[i % len(WAVELENGTHS)] for i in range(n_musical)]
        return cls(by_index, np.array(musical, np.float64))


def offsets(config: ModelConfig) -> npt.NDArray[np.int32]:
    """(A,) the first row of each attribute in the table of embeddings."""
    return np.cumsum([config.vocab_size, *config.attribute_sizes[:-1]])[: len(config.attribute_sizes)].astype(np.int32)
