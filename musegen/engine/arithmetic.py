"""The arithmetic of kernel.c in NumPy, operation by operation, so that both give the same bits.

Products of integers are made by matrix products of floats that hold them: exact in whatever order they are summed,
since they stay below 2^24 in single precision and 2^53 in double. Sums of floats are made in the order that kernel.c
writes down. Nothing here multiplies and adds in one rounding.

Letters: T rows, C inputs, E outputs.
"""

from __future__ import annotations

import numpy as np

from musegen.engine.weights import LEVELS, Doubles, Floats, Matrix

f32 = np.float32
EXACT_INPUTS = 1024
"""So many products of two 8-bit integers sum to less than 2^24."""

POWER = tuple(
    f32(c)
    for c in (1.5403530393381610e-4, 1.3333558146428443e-3, 9.6181291076284772e-3, 5.5504108664821580e-2,
              2.4022650695910071e-1, 6.9314718055994531e-1, 1.0)
)  # fmt: skip
ERROR_FUNCTION = tuple(f32(c) for c in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592))


class Product:
    """A Matrix as NumPy multiplies by it."""

    def __init__(self, matrix: Matrix) -> None:
        whole = matrix.integers.T.astype(f32)  # (C, E)
        self.parts = [whole[at : at + EXACT_INPUTS] for at in range(0, len(whole), EXACT_INPUTS)]
        self.scales = matrix.scales

    def __call__(self, x: Floats) -> Floats:
        """(T, C) -> (T, E), by way of 8-bit integers."""
        integers, scales = quantized(x)
        sums = np.zeros((len(x), len(self.scales)))
        for at, part in enumerate(self.parts):
            sums += integers[:, at * EXACT_INPUTS : (at + 1) * EXACT_INPUTS] @ part
        return sums.astype(f32) * (scales * self.scales)


def quantized(x: Floats) -> tuple[Floats, Floats]:
    """Each row (..., C) as integers up to LEVELS, and what a unit of it is worth (..., 1)."""
    most = np.abs(x).max(axis=-1, keepdims=True)
    small = most <= f32(1e-30)
    by = f32(LEVELS) / np.where(small, f32(1), most)
    return np.rint(x * np.where(small, f32(0), by)), np.where(small, f32(0), most / f32(LEVELS))


def total(x: Floats) -> Floats:
    """The sum over the last axis (..., C) -> (..., 1), by adding halves while there are halves."""
    n = x.shape[-1]
    while n % 2 == 0:
        n //= 2
        x = x[..., :n] + x[..., n:]
    sums = x[..., :1]
    for i in range(1, n):
        sums = sums + x[..., i : i + 1]
    return sums


def normalized(x: Floats, weight: Floats) -> Floats:
    """LayerNorm over the last axis, without bias."""
    n = f32(x.shape[-1])
    y = x - total(x) / n
    by = f32(1) / np.sqrt(total(y * y) / n + f32(1e-5))
    result: Floats = y * by * weight
    return result


def power(x: Floats) -> Floats:
    """2 to the x, for x <= 0."""
    x = np.maximum(x, f32(-126))
    whole = np.rint(x)
    f = x - whole
    p = np.full_like(f, POWER[0])
    for coefficient in POWER[1:]:
        p = p * f + coefficient
    bits = p.view(np.int32) + whole.astype(np.int32) * np.int32(1 << 23)
    result: Floats = bits.view(f32)
    return result


def gelu(x: Floats) -> Floats:
    """The normal distribution at x, times x; the error function by Abramowitz and Stegun, 7.1.26."""
    z = np.abs(x * f32(0.70710678118654752))
    t = f32(1) / (f32(1) + f32(0.3275911) * z)
    p = np.full_like(t, ERROR_FUNCTION[0])
    for coefficient in ERROR_FUNCTION[1:]:
        p = p * t + coefficient
    tail = f32(0.5) * (p * t * power(z * z * f32(-1.44269504088896341)))
    result: Floats = x * np.where(x < 0, tail, f32(1) - tail)
    return result


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + e^-x), by the exponential of what is not positive."""
    e = power(np.abs(x) * f32(-1.44269504088896341))
    result: Floats = np.where(x < 0, e, f32(1)) / (f32(1) + e)
    return result


def tanh(x: Floats) -> Floats:
    """The hyperbolic tangent: 2 sigmoid(2 x) - 1."""
    result: Floats = f32(2) * sigmoid(f32(2) * x) - f32(1)
    return result


def turned(turns: Doubles) -> tuple[Floats, Floats]:
    """Cosines and sines of numbers of turns."""
    r = 4.0 * (turns - np.floor(turns))
    quarter = np.floor(r + 0.5)
    y = (r - quarter) * 1.5707963267948966
    z = y * y
    s = y * (1.0 + z * (-1.0 / 6 + z * (1.0 / 120 + z * (-1.0 / 5040 + z * (1.0 / 362880)))))
    c = 1.0 + z * (-1.0 / 2 + z * (1.0 / 24 + z * (-1.0 / 720 + z * (1.0 / 40320 + z * (-1.0 / 3628800)))))
    q = quarter.astype(np.int64) & 3
    return np.choose(q, [c, -s, -c, s]).astype(f32), np.choose(q, [s, c, -s, -c]).astype(f32)
