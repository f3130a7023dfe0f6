"""A model in one file: weights and, in the metadata, everything needed to use them.

The file is a .safetensors; nothing in it is ever unpickled. Its metadata holds one JSON object under "musegen":
the network's configuration, the tokenizer and the fingerprint of its vocabulary, and the facts of the model card.
Weights are stored in half precision and computed with in single precision.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes

from musegen.errors import ModelError
from musegen.models import Model, ModelConfig, build, preset
from musegen.tokens import TOKENIZERS

PRETRAINED = Path(__file__).parent / "pretrained"
SUFFIX = ".safetensors"
TINY_RANDOM = "tiny-random"
"""A small network of random weights, made in code: it drives every command end to end without any file."""


def names() -> tuple[str, ...]:
    """The models that can be loaded by name."""
    return (*sorted(path.stem for path in PRETRAINED.glob(f"*{SUFFIX}")), TINY_RANDOM)


def save(path: Path, model: Model, card: Mapping[str, Any]) -> None:
    """Write a model with the facts of its card; the file appears whole or not at all."""
    tokenizer = TOKENIZERS["remi"]()
    record = {
        "config": model.config.to_dict(),
        "tokenizer": tokenizer.name,
        "vocabulary": tokenizer.vocabulary.fingerprint,
        "card": dict(card),
    }
    tensors = {name: p.detach().to(torch.float16).contiguous() for name, p in model.named_parameters()}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            stream.write(to_bytes(tensors, {"musegen": json.dumps(record, sort_keys=True)}))
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load(name_or_path: str | Path) -> tuple[Model, dict[str, Any]]:
    """A network ready to use, and the facts of its card.

    Raises:
        ModelError: for an unknown name (the names are listed), a file that is damaged or no model of musegen, or
            one whose vocabulary is not the one of this version.
    """
    if str(name_or_path) == TINY_RANDOM:
        return _tiny_random()
    path = _find(name_or_path)
    try:
        with safe_open(path, framework="pt") as stream:
            record = json.loads((stream.metadata() or {})["musegen"])
            tensors = {key: stream.get_tensor(key).float() for key in stream.keys()}  # noqa: SIM118  # no mapping
        tokenizer = TOKENIZERS[record["tokenizer"]]()
        fingerprint = record["vocabulary"]
        model = build(ModelConfig.from_dict(record["config"]))
        card = dict(record["card"])
        missing, unexpected = model.load_state_dict(tensors, strict=False)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: the file is damaged or no .safetensors ({error}); get it again") from error
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"{path}: no model of musegen; train one with scripts/train_pretrained.py") from error
    absent = [name for name in missing if name in dict(model.named_parameters())]
    if absent or unexpected:
        raise ModelError(f"{path}: weights are missing or unknown ({', '.join([*absent, *unexpected][:3])})")
    if fingerprint != tokenizer.vocabulary.fingerprint:
        raise ModelError(
            f"{path}: trained on the vocabulary {fingerprint}, this version has {tokenizer.vocabulary.fingerprint}; "
            "use the musegen that it was trained with, or train it again"
        )
    return model.eval(), card


def card(name_or_path: str | Path) -> dict[str, Any]:
    """The facts of a model's card, without building the network; raises as `load`."""
    if str(name_or_path) == TINY_RANDOM:
        return dict(_TINY_CARD)
    path = _find(name_or_path)
    try:
        with safe_open(path, framework="numpy") as stream:
            return dict(json.loads((stream.metadata() or {})["musegen"])["card"])
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path}: the file is damaged or no model of musegen; get it again") from error


def checksum(name_or_path: str | Path) -> str:
    """Twelve hexadecimal digits of the file's SHA-256, which a piece records."""
    if str(name_or_path) == TINY_RANDOM:
        return "0" * 12
    return hashlib.sha256(_find(name_or_path).read_bytes()).hexdigest()[:12]


def _find(name_or_path: str | Path) -> Path:
    text = str(name_or_path)
    shipped = PRETRAINED / f"{text}{SUFFIX}"
    if isinstance(name_or_path, str) and text in names():
        return shipped
    path = Path(name_or_path)
    if path.suffix != SUFFIX:
        raise ModelError(f"unknown model {text!r}; there are {', '.join(names())}, or give a {SUFFIX} file")
    if not path.is_file():
        raise ModelError(f"{path}: no such file; models with a name are {', '.join(names())}")
    return path


_TINY_CARD: dict[str, Any] = {"description": "random weights, for trying things out", "styles": [], "licence": "none"}


def _tiny_random() -> tuple[Model, dict[str, Any]]:
    tokenizer = TOKENIZERS["remi"]()
    config = preset("tiny", tokenizer.vocabulary.size, tokenizer.attribute_sizes)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build(config).eval(), dict(_TINY_CARD)
