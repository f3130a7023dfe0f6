"""Networks: those of tokens are called alike (see `Transformer.forward`), the one of rolls its own way (see `Dit`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, overload

import numpy as np
import numpy.typing as npt

from musegen.models.dit import Dit
from musegen.models.rnn import LSTM
from musegen.models.transformer import Transformer
from musegen.shapes import PRESETS, DitConfig, ModelConfig, Shape, preset

__all__ = [
    "LSTM",
    "MODELS",
    "PRESETS",
    "AnyModel",
    "Dit",
    "Model",
    "ModelConfig",
    "Transformer",
    "build",
    "preset",
    "weights",
]

Model = Transformer | LSTM
"""What reads tokens."""

AnyModel = Transformer | LSTM | Dit

MODELS: dict[str, Callable[[Any], AnyModel]] = {"transformer": Transformer, "rnn": LSTM, "dit": Dit}


@overload
def build(config: ModelConfig) -> Model: ...
@overload
def build(config: DitConfig) -> Dit: ...
@overload
def build(config: Shape) -> AnyModel: ...
def build(config: Shape) -> AnyModel:
    """A new network of this shape, its weights drawn from torch's global generator."""
    return MODELS[config.architecture](config)


def weights(model: AnyModel) -> dict[str, npt.NDArray[np.float32]]:
    """What the network has learnt, by name, in single precision."""
    return {name: parameter.detach().float().cpu().numpy() for name, parameter in model.named_parameters()}
