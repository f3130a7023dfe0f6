"""A model in one file: weights and, in the metadata, everything needed to use them.

The file is a .safetensors; nothing in it is ever unpickled. Its metadata holds one JSON object under "musegen":
the network's configuration, the tokenizer and the fingerprint of its vocabulary, and the facts of the model card.
Weights are stored in half precision and computed with in single precision.

A file of adapters (models/lora.py) holds no network but names its base, another model, with its checksum: it is loaded
with that, and merged into it. It may hold rows of the embedding too, which take the place of the base's.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from musegen.errors import ModelError
from musegen.models import Model, ModelConfig, build, preset
from musegen.models.lora import merge
from musegen.score.formats import write_bytes
from musegen.tokens import TOKENIZERS

PRETRAINED = Path(__file__).parent / "pretrained"
SUFFIX = ".safetensors"
TINY_RANDOM = "tiny-random"
"""A small network of random weights, made in code: it drives every command end to end without any file."""

_ROW = "embedding.row."


def names() -> tuple[str, ...]:
    """The models that can be loaded by name."""
    return (*sorted(path.stem for path in PRETRAINED.glob(f"*{SUFFIX}")), TINY_RANDOM)


def save(path: Path, model: Model, card: Mapping[str, Any]) -> None:
    """Write a model with the facts of its card; the file appears whole or not at all."""
    _write(path, dict(model.named_parameters()), {"config": model.config.to_dict(), "card": dict(card)})


def save_adapters(
    path: Path,
    base: str | Path,
    adapters: Mapping[str, Tensor],
    rows: Mapping[int, Tensor],
    card: Mapping[str, Any],
) -> None:
    """Write adapters of the model `base`, and rows (C,) of its embedding by id; the file appears whole or not at all.

    A base that is a file is found again by the way from this file to it, so that both can move together.
    """
    named = os.path.relpath(base, path.parent) if isinstance(base, Path) else base
    tensors = dict(adapters)
    for row, values in rows.items():
        tensors[f"{_ROW}{row}"] = values
    _write(path, tensors, {"base": {"model": named, "checksum": checksum(base)}, "card": dict(card)})


def _write(path: Path, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
    tokenizer = TOKENIZERS["remi"]()
    told = {**record, "tokenizer": tokenizer.name, "vocabulary": tokenizer.vocabulary.fingerprint}
    halves = {name: t.detach().to("cpu", torch.float16).contiguous() for name, t in tensors.items()}
    write_bytes(to_bytes(halves, {"musegen": json.dumps(told, sort_keys=True)}), path, force=True)


def load(name_or_path: str | Path) -> tuple[Model, dict[str, Any]]:
    """A network ready to use, and the facts of its card.

    Raises:
        ModelError: for an unknown name (the names are listed), a file that is damaged or no model of musegen, one
            whose vocabulary is not the one of this version, or adapters whose base is missing or another.
    """
    if str(name_or_path) == TINY_RANDOM:
        return _tiny_random()
    path = _find(name_or_path)
    with _reading(path):
        with safe_open(path, framework="pt") as stream:
            record = json.loads((stream.metadata() or {})["musegen"])
            tensors = {key: stream.get_tensor(key).float() for key in stream.keys()}  # noqa: SIM118  # no mapping
        tokenizer = TOKENIZERS[record["tokenizer"]]()
        fingerprint = record["vocabulary"]
        card = dict(record["card"])
        base = dict(record["base"]) if "base" in record else None
        model = build(ModelConfig.from_dict(record["config"])) if base is None else None
    if fingerprint != tokenizer.vocabulary.fingerprint:
        raise ModelError(
            f"{path}: trained on the vocabulary {fingerprint}, this version has {tokenizer.vocabulary.fingerprint}; "
            "use the musegen that it was trained with, or train it again"
        )
    if model is None:
        model = _with_adapters(path, base or {}, tensors)
    else:
        _fill(path, model, tensors)
    return model.eval(), card


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Tell what is wrong with a file that cannot be read.

    Raises:
        ModelError: where the block fails of the file's content.
    """
    try:
        yield
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: the file is damaged or no .safetensors ({error}); get it again") from error
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"{path}: no model of musegen; train one with musegen train") from error


def _fill(path: Path, model: Model, tensors: Mapping[str, Tensor]) -> None:
    """Put a file's weights into its network."""
    try:
        missing, unexpected = model.load_state_dict(tensors, strict=False)
    except RuntimeError as error:
        raise ModelError(f"{path}: no model of musegen; train one with musegen train") from error
    absent = [name for name in missing if name in dict(model.named_parameters())]
    if absent or unexpected:
        raise ModelError(f"{path}: weights are missing or unknown ({', '.join([*absent, *unexpected][:3])})")


def _with_adapters(path: Path, base: Mapping[str, Any], tensors: dict[str, Tensor]) -> Model:
    """The base that a file names, with the adapters in the file merged into it."""
    named = str(base.get("model", ""))
    where = path.parent / named if named.endswith(SUFFIX) else named
    if not (where.is_file() if isinstance(where, Path) else where in names()):
        raise ModelError(f"{path}: adapters of the model {where}, which is not there; put it there")
    if (now := checksum(where)) != base.get("checksum"):
        raise ModelError(
            f"{path}: adapters of {where} with the checksum {base.get('checksum')}, but its checksum is {now}; get the "
            "model that they were made from, or fine-tune this one"
        )
    model, _ = load(where)
    rows = {int(key.removeprefix(_ROW)): tensors.pop(key) for key in list(tensors) if key.startswith(_ROW)}
    try:
        merge(model, tensors)
        with torch.no_grad():
            for row, values in rows.items():
                model.embedding.weight[row] = values
    except (ModelError, RuntimeError, IndexError) as error:
        raise ModelError(f"{path}: the file is damaged ({error}); get it again") from error
    return model


def card(name_or_path: str | Path) -> dict[str, Any]:
    """The facts of a model's card, without building the network; raises as `load`."""
    if str(name_or_path) == TINY_RANDOM:
        return dict(_TINY_CARD)
    path = _find(name_or_path)
    with _reading(path), safe_open(path, framework="numpy") as stream:
        return dict(json.loads((stream.metadata() or {})["musegen"])["card"])


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
