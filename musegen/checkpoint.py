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
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from musegen.errors import ModelError
from musegen.score.formats import write_bytes
from musegen.shapes import ModelConfig, parameters, preset
from musegen.tokens import TOKENIZERS

if TYPE_CHECKING:
    from torch import Tensor

    from musegen.engine import Decoder
    from musegen.models import AnyModel, Model

PRETRAINED = Path(__file__).parent / "pretrained"
SUFFIX = ".safetensors"
TINY_RANDOM = "tiny-random"
"""A small network of random weights, made in code: it drives every command end to end without any file."""

_ROW = "embedding.row."
DOWN, UP = ".down", ".up"
"""Ends of the names of adapters."""

Floats = npt.NDArray[np.float32]


def names() -> tuple[str, ...]:
    """The models that can be loaded by name."""
    return (*sorted(path.stem for path in PRETRAINED.glob(f"*{SUFFIX}")), TINY_RANDOM)


def save(path: Path, model: AnyModel, card: Mapping[str, Any]) -> None:
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
    halves = {name: t.detach().cpu().half().contiguous().numpy() for name, t in tensors.items()}
    write_bytes(to_bytes(halves, {"musegen": json.dumps(told, sort_keys=True)}), path, force=True)


@dataclass(frozen=True, eq=False)
class Stored:
    """What a file holds: the network's shape, its weights by name in single precision, the facts of the card."""

    config: ModelConfig
    weights: dict[str, Floats]
    card: dict[str, Any]


def read(name_or_path: str | Path) -> Stored:
    """The weights of a model, adapters merged into those of their base.

    Raises:
        ModelError: for an unknown name (the names are listed), a file that is damaged or no model of musegen, one
            whose vocabulary is not the one of this version, or adapters whose base is missing or another.
    """
    if str(name_or_path) == TINY_RANDOM:
        return _tiny_random()
    path = _find(name_or_path)
    with _reading(path):
        with safe_open(path, framework="numpy") as stream:
            record = json.loads((stream.metadata() or {})["musegen"])
            tensors = {key: stream.get_tensor(key).astype(np.float32) for key in stream.keys()}  # noqa: SIM118  # no mapping
        tokenizer = TOKENIZERS[record["tokenizer"]]()
        fingerprint = record["vocabulary"]
        card = dict(record["card"])
        base = dict(record["base"]) if "base" in record else None
        config = ModelConfig.from_dict(record["config"]) if base is None else None
    if fingerprint != tokenizer.vocabulary.fingerprint:
        raise ModelError(
            f"{path}: trained on the vocabulary {fingerprint}, this version has {tokenizer.vocabulary.fingerprint}; "
            "use the musegen that it was trained with, or train it again"
        )
    if config is None:
        under = _base(path, base or {})
        return Stored(under.config, _with_adapters(path, under.weights, tensors), card)
    _check(path, config, tensors)
    return Stored(config, tensors, card)


def load(name_or_path: str | Path) -> tuple[Model, dict[str, Any]]:
    """A network of torch ready to use, and the facts of its card; raises as `read`."""
    import torch

    from musegen.models import build

    stored = read(name_or_path)
    with torch.random.fork_rng(devices=[]):
        model = build(stored.config)
    model.load_state_dict({name: torch.from_numpy(values) for name, values in stored.weights.items()}, strict=False)
    return model.eval(), stored.card


def load_decoder(name_or_path: str | Path, *, threads: int = 1) -> tuple[Decoder, dict[str, Any]]:
    """A network ready to decode, and the facts of its card; raises as `read`."""
    from musegen.engine import decoder

    stored = read(name_or_path)
    return decoder(stored.config, stored.weights, threads=threads), stored.card


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


def _check(path: Path, config: ModelConfig, tensors: Mapping[str, Floats]) -> None:
    """Raise ModelError unless these are the weights of such a network."""
    wanted = parameters(config)
    wrong = [name for name in sorted({*wanted, *tensors}) if name not in wanted or name not in tensors]
    if wrong:
        raise ModelError(f"{path}: weights are missing or unknown ({', '.join(wrong[:3])})")
    if any(tensors[name].shape != shape for name, shape in wanted.items()):
        raise ModelError(f"{path}: no model of musegen; train one with musegen train")


def _base(path: Path, base: Mapping[str, Any]) -> Stored:
    """The model that a file of adapters names."""
    named = str(base.get("model", ""))
    where = path.parent / named if named.endswith(SUFFIX) else named
    if not (where.is_file() if isinstance(where, Path) else where in names()):
        raise ModelError(f"{path}: adapters of the model {where}, which is not there; put it there")
    if (now := checksum(where)) != base.get("checksum"):
        raise ModelError(
            f"{path}: adapters of {where} with the checksum {base.get('checksum')}, but its checksum is {now}; get the "
            "model that they were made from, or fine-tune this one"
        )
    return read(where)


def _with_adapters(path: Path, weights: Mapping[str, Floats], adapters: Mapping[str, Floats]) -> dict[str, Floats]:
    """The weights with adapters (models/lora.py) added, and rows of the embedding in place of theirs."""
    merged = dict(weights)
    try:
        for name, values in adapters.items():
            if name.startswith(_ROW):
                table = merged["embedding.weight"].copy()
                table[int(name.removeprefix(_ROW))] = values
                merged["embedding.weight"] = table
            elif name.endswith(DOWN):
                stem = name.removesuffix(DOWN)
                merged[f"{stem}.weight"] = weights[f"{stem}.weight"] + adapters[stem + UP] @ values
            else:
                adapters[name.removesuffix(UP) + DOWN]  # they come in pairs
    except (KeyError, ValueError, IndexError) as error:
        raise ModelError(f"{path}: the file is damaged ({error}); get it again") from error
    return merged


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


def _tiny_random() -> Stored:
    tokenizer = TOKENIZERS["remi"]()
    config = preset("tiny", tokenizer.vocabulary.size, tokenizer.attribute_sizes)
    random = np.random.RandomState(0)  # its numbers stay the same in all versions of NumPy
    weights = {
        name: (np.ones(shape) if len(shape) == 1 else 0.02 * random.standard_normal(shape)).astype(np.float32)
        for name, shape in parameters(config).items()
    }
    return Stored(config, weights, dict(_TINY_CARD))
