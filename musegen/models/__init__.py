"""Networks that read tokens and give logits; all are called alike (see `Transformer.forward`)."""

from __future__ import annotations

from musegen.models.config import PRESETS, ModelConfig, preset
from musegen.models.kv_cache import KVCache
from musegen.models.rnn import LSTM, LSTMCache
from musegen.models.transformer import Transformer

__all__ = [
    "LSTM",
    "MODELS",
    "PRESETS",
    "KVCache",
    "LSTMCache",
    "Model",
    "ModelConfig",
    "Transformer",
    "build",
    "preset",
]

Model = Transformer | LSTM

MODELS: dict[str, type[Transformer | LSTM]] = {"transformer": Transformer, "rnn": LSTM}


def build(config: ModelConfig) -> Model:
    """A new network of this shape, its weights drawn from torch's global generator."""
    return MODELS[config.architecture](config)
