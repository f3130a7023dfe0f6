"""Networks that read tokens and give logits; all are called alike (see `Transformer.forward`)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from musegen.models.rnn import LSTM
from musegen.models.transformer import Transformer
from musegen.shapes import PRESETS, ModelConfig, preset

__all__ = [
    "LSTM",
    "MODELS",
    "PRESETS",
    "Model",
    "ModelConfig",
    "Transformer",
    "build",
    "preset",
    "weights",
]

Model = Transformer | LSTM

MODELS: dict[str, type[Transformer | LSTM]] = {"transformer": Transformer, "rnn": LSTM}


def build(config: ModelConfig) -> Model:
    """A new network of this shape, its weights drawn from torch's global generator."""
    return MODELS[config.architecture](config)


def weights(model: Model) -> dict[str, npt.NDArray[np.float32]]:
    """What the network has learnt, by name, in single precision."""
    return {name: parameter.detach().float().cpu().numpy() for name, parameter in model.named_parameters()}
