"""Logit filters: what makes some ids likelier, less likely or impossible before one is chosen.

Each filter maps log-weights (B, V) in float64 to the same shape; -inf says "never". `apply` runs them in this
order, and every one is off at its default:

1. `mask`: the grammar and the musical rules, both in the boolean rows of `State.allowed`
2. `penalise`: repetition
3. `heat`: temperature
4. `keep_top_k`, 5. `keep_top_p` (nucleus: Holtzman et al., 2020), 6. `keep_min_p` (Nguyen et al., 2024),
7. `keep_typical` (Meister et al., 2023)

The last four look at the probabilities that the filters before them left, and always leave at least one id.

Letters: B rows, V ids.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from musegen.decoding.protocol import BoolArray, FloatArray, IntArray
from musegen.errors import RequestError

Search = Literal["sample", "greedy", "beam"]

RANGES: dict[str, tuple[float, float, float]] = {
    "temperature": (0.0, 10.0, 1.0),
    "top_k": (0, 1_000_000, 0),
    "top_p": (0.0, 1.0, 1.0),
    "min_p": (0.0, 1.0, 0.0),
    "typical_p": (0.0, 1.0, 1.0),
    "repetition_penalty": (1.0, 10.0, 1.0),
    "beams": (1, 64, 4),
    "guidance": (1.0, 5.0, 1.0),
}
"""Lowest and highest value of each option, and its default, which is off; top_p and typical_p are above 0."""

COLDEST = 1e-300
"""What is divided by stays finite."""

ABOVE_LOWEST = ("top_p", "typical_p")


@dataclass(frozen=True)
class SamplingOptions:
    """How the next id is chosen; values outside RANGES raise RequestError."""

    temperature: float = 1.0
    """Logits are divided by it: below 1 surer, above 1 bolder; 0 always takes the likeliest."""
    top_k: int = 0
    """Only the k likeliest ids; 0 is off."""
    top_p: float = 1.0
    """Only the likeliest ids that together reach this probability; 1 is off."""
    min_p: float = 0.0
    """Only ids at least this share as likely as the likeliest; 0 is off."""
    typical_p: float = 1.0
    """Only the ids of most typical surprise that together reach this probability; 1 is off."""
    repetition_penalty: float = 1.0
    """The log-probability of recent ids is multiplied by it: above 1 they are rarer; 1 is off."""
    search: Search = "sample"
    """`greedy` takes the likeliest of what the filters leave, `beam` keeps several sequences (search.py)."""
    beams: int = 4
    """How many sequences beam search keeps."""
    guidance: float | None = None
    """How far what was asked for is followed beyond what the network makes of it (generate.py); 1 is off. None leaves
    it to the composer; `generate` itself takes it as 1."""

    def __post_init__(self) -> None:
        """Check every range."""
        for name, (lowest, highest, _) in RANGES.items():
            value = getattr(self, name)
            if value is None:
                continue
            is_open = name in ABOVE_LOWEST
            if not lowest <= value <= highest or (is_open and value == lowest):
                bound = "above" if is_open else "from"
                raise RequestError(f"{name} is {value}: it must lie {bound} {lowest:g} to {highest:g}")
        if self.search not in get_args(Search):
            raise RequestError(f"unknown search {self.search!r}: use one of {', '.join(get_args(Search))}")
        if self.search == "beam" and self.temperature == 0:
            raise RequestError("beam search compares probabilities: set a temperature above 0, or use greedy search")
        if self.search == "beam" and self.is_guided:
            raise RequestError("guidance does not go with beam search: leave one of them out")

    @property
    def is_guided(self) -> bool:
        """Whether every row has a shadow beside it."""
        return self.guidance not in (None, 1)


def log_softmax(logits: FloatArray) -> FloatArray:
    """Log-probabilities, (..., V)."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    result: FloatArray = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return result


def guide(conditional: FloatArray, unconditional: FloatArray, guidance: float) -> FloatArray:
    """Log-weights that lead from what follows anyway to what follows from the request, and beyond.

    Classifier-free guidance (Ho and Salimans, 2022) on log-probabilities; both (..., V).
    """
    anyway = log_softmax(unconditional)
    return anyway + guidance * (log_softmax(conditional) - anyway)


def mask(logits: FloatArray, allowed: BoolArray) -> FloatArray:
    """Rule out what is not allowed, (B, V) of bool."""
    return np.where(allowed, logits, -np.inf)


def penalise(logits: FloatArray, recent: BoolArray, penalty: float) -> FloatArray:
    """Multiply the log-probability of the ids marked in `recent`, (B, V) of bool, by `penalty`.

    The penalty of Keskar et al. (2019) on log-probabilities instead of raw logits, so that it does not depend
    on an offset of the logits, and an id that is nearly certain stays so.
    """
    log_probabilities = log_softmax(logits)
    return np.where(recent, log_probabilities * penalty, log_probabilities)


def heat(logits: FloatArray, temperature: float) -> FloatArray:
    """Divide by the temperature; at 0 only the likeliest id is left (the lowest of equals)."""
    if temperature > 0:
        return logits / max(temperature, COLDEST)
    result = np.full_like(logits, -np.inf)
    best = logits.argmax(axis=-1)[:, None]
    np.put_along_axis(result, best, np.take_along_axis(logits, best, axis=-1), axis=-1)
    return result


def keep_top_k(logits: FloatArray, k: int) -> FloatArray:
    """Keep the k likeliest ids, and any that are exactly as likely as the k-th."""
    if k >= logits.shape[-1]:
        return logits
    threshold = np.partition(logits, -k, axis=-1)[:, -k, None]
    return np.where(logits < threshold, -np.inf, logits)


def keep_top_p(logits: FloatArray, p: float) -> FloatArray:
    """Keep the smallest set of likeliest ids whose probabilities sum to at least p."""
    return _keep_first(logits, -logits, p)


def keep_min_p(logits: FloatArray, share: float) -> FloatArray:
    """Keep the ids that are at least `share` times as likely as the likeliest."""
    lowest = logits.max(axis=-1, keepdims=True) + (math.log(share) if share else -np.inf)
    return np.where(logits < lowest, -np.inf, logits)


def keep_typical(logits: FloatArray, p: float) -> FloatArray:
    """Keep the smallest set of ids of surprise nearest to the entropy whose probabilities reach p."""
    surprise = -log_softmax(logits)
    probabilities = np.exp(-surprise)
    entropy = np.where(probabilities > 0, probabilities * np.where(probabilities > 0, surprise, 0), 0)
    return _keep_first(logits, np.abs(surprise - entropy.sum(axis=-1, keepdims=True)), p)


def apply(logits: FloatArray, allowed: BoolArray, recent: BoolArray, options: SamplingOptions) -> FloatArray:
    """All filters in order; `allowed` and `recent` are (B, V) of bool."""
    logits = mask(logits, allowed)
    if options.repetition_penalty != 1:
        logits = penalise(logits, recent, options.repetition_penalty)
    if options.temperature != 1:
        logits = heat(logits, options.temperature)
    if options.top_k:
        logits = keep_top_k(logits, options.top_k)
    if options.top_p < 1:
        logits = keep_top_p(logits, options.top_p)
    if options.min_p > 0:
        logits = keep_min_p(logits, options.min_p)
    if options.typical_p < 1:
        logits = keep_typical(logits, options.typical_p)
    return logits


def _keep_first(logits: FloatArray, order_by: FloatArray, p: float) -> FloatArray:
    """Keep ids in ascending order of `order_by` until their probabilities reach p; equals in order of id."""
    order: IntArray = order_by.argsort(axis=-1, kind="stable")
    probabilities = np.take_along_axis(np.exp(log_softmax(logits)), order, axis=-1)
    before = probabilities.cumsum(axis=-1) - probabilities  # what the ids before this one reach
    dropped = np.empty(before.shape, np.bool_)
    np.put_along_axis(dropped, order, before >= p, axis=-1)
    return np.where(dropped, -np.inf, logits)
