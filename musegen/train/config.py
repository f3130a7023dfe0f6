"""What a training run is made of, and how far along it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from musegen.errors import RequestError

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class TrainConfig:
    """A run. Exactly one of `budget_seconds` and `budget_steps` says how long it is."""

    budget_seconds: float = 0.0
    """Wall time, measuring included: models trained for equal time compare what a machine's hour is worth."""
    budget_steps: int = 0
    """Optimizer steps instead: repeats exactly, whatever the machine."""
    batch_tokens: int = 4096
    """Tokens in a batch, padding included, over all processes."""
    accumulate: int = 1
    """Batches a step, whose gradients are summed: for steps that do not fit in memory at once."""
    context: int = 512
    """Longest training example in tokens."""
    lr: float = 1e-3
    """Peak learning rate."""
    warmup: float = 0.02
    """Share of the run over which the learning rate rises."""
    final_lr: float = 0.1
    """Learning rate at the end, as a share of the peak (cosine in between)."""
    weight_decay: float = 0.1
    """Only on matrices (AdamW)."""
    beta1: float = 0.9
    beta2: float = 0.98
    """Below the usual 0.999, since a run has only thousands of steps."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    ema_half_life: float = 0.01
    """Half-life of the averaged weights, as a share of the run: those are measured and shipped."""
    from_start_share: float = 0.5
    """Share of the examples that begin with the piece, not at a random bar."""
    short_share: float = 0.3
    """Share of the examples cut to a random length below the context."""
    mask_share: float = 0.5
    """Share of the examples with something taken out, to be filled in at the end."""
    chord_share: float = 0.5
    """Share of the examples that say their chords."""
    control_dropout: float = 1.0
    """An example leaves each control out of its head with a chance drawn evenly up to this; metre and instruments
    stay. So every combination is met, and none at all is too, which guidance needs."""
    max_transposition: tuple[int, int] = (-5, 6)
    """Semitones, drawn evenly: all twelve keys once."""
    source_weights: Mapping[str, float] = field(default_factory=dict)
    """Share of the tokens from each source; those not named share what is left by the square root of their tokens."""
    lora_rank: int = 0
    """Rank of the adapters that learn while all else stays (models/lora.py); 0: all weights learn."""
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.budget_seconds > 0) == (self.budget_steps > 0):
            raise RequestError("give a budget either in time or in steps")
        for name in ("lr", "batch_tokens", "accumulate", "context", "clip", "ema_half_life"):
            if getattr(self, name) <= 0:
                raise RequestError(f"{name} is {getattr(self, name)}; it must be positive")
        shares = ("from_start_share", "short_share", "mask_share", "chord_share", "control_dropout")
        for name in ("warmup", "final_lr", *shares):
            if not 0 <= getattr(self, name) <= 1:
                raise RequestError(f"{name} is {getattr(self, name)}; it lies between 0 and 1")
        if self.batch_tokens < self.context:
            raise RequestError(f"batch_tokens {self.batch_tokens} is less than one context of {self.context}")
        low, high = self.max_transposition
        if low > 0 or high < 0:
            raise RequestError(f"max_transposition {low}..{high} must include 0")
        object.__setattr__(self, "max_transposition", (int(low), int(high)))

    def progress(self, step: int, seconds: float) -> float:
        """How much of the run is behind after `step` steps and `seconds`; 1.0 and more is the end."""
        return step / self.budget_steps if self.budget_steps else seconds / self.budget_seconds

    def learning_rate(self, progress: float) -> float:
        """The rate at this share of the run: linear warm-up, then a cosine down to `final_lr` of the peak."""
        return warmup_cosine(progress, self.lr, self.warmup, self.final_lr)

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON holds them."""
        return {**asdict(self), "max_transposition": list(self.max_transposition)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainConfig:
        """The inverse of `to_dict`; RequestError for an unknown field."""
        unknown = sorted(set(values) - {f.name for f in fields(cls)})
        if unknown:
            raise RequestError(f"unknown training options: {', '.join(unknown)}")
        return cls(**values)


def warmup_cosine(progress: float, peak: float, warmup: float, final: float) -> float:
    """The learning rate after a share of a run: a linear rise to `peak`, then a cosine down to `final` of it."""
    if progress < warmup:
        return peak * max(progress / warmup, 0.01)  # not zero: the first step should count
    through = min(1.0, (progress - warmup) / max(1e-9, 1 - warmup))
    return peak * (final + (1 - final) * 0.5 * (1 + math.cos(math.pi * through)))


def parse_seconds(text: str) -> float:
    """Read "90s", "50m", "1.5h" as seconds.

    Raises:
        RequestError: for anything else.
    """
    number, unit = text[:-1], text[-1:]
    try:
        seconds = float(number) * _UNITS[unit]
    except (ValueError, KeyError):
        seconds = 0.0
    if not seconds > 0 or math.isinf(seconds):
        raise RequestError(f"cannot read the time {text!r}; write it as 90s, 50m or 1.5h")
    return seconds
