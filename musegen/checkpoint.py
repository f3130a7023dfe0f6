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

from musegen.conditions import BEAT_SIZES, CHORD_SIZE, CLIP_SIZES
from musegen.errors import ModelError
from musegen.score.formats import write_bytes
from musegen.shapes import DitConfig, ModelConfig, Shape, parameters, preset, roll_preset, shape_of
from musegen.tokens import TOKENIZERS

if TYPE_CHECKING:
    from torch import Tensor

    from musegen.engine import Decoder
    from musegen.models import AnyModel, Dit, Model

PRETRAINED = Path(__file__).parent / "pretrained"
SUFFIX = ".safetensors"
TINY_RANDOM = "tiny-random"
TINY_DIFFUSION = "tiny-diffusion"
"""Small networks of random weights, of tokens and of rolls, made in code: they drive every command without any file."""

_TINY = (TINY_RANDOM, TINY_DIFFUSION)
_ROW = "embedding.row."
DOWN, UP = ".down", ".up"
"""Ends of the names of adapters."""

Floats = npt.NDArray[np.float32]


def names() -> tuple[str, ...]:
    """The models that can be loaded by name."""
    return (*sorted(path.stem for path in PRETRAINED.glob(f"*{SUFFIX}")), *_TINY)


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

    config: Shape
    weights: dict[str, Floats]
    card: dict[str, Any]


def read(name_or_path: str | Path) -> Stored:
    """The weights of a model, adapters merged into those of their base.

    Raises:
        ModelError: for an unknown name (the names are listed), a file that is damaged or no model of musegen, one
            whose vocabulary is not the one of this version, or adapters whose base is missing or another.
    """
    if str(name_or_path) in _TINY:
        return _tiny(str(name_or_path))
    path = _find(name_or_path)
    with _reading(path):
        with safe_open(path, framework="numpy") as stream:
            record = json.loads((stream.metadata() or {})["musegen"])
            tensors = {key: stream.get_tensor(key).astype(np.float32) for key in stream.keys()}  # noqa: SIM118  # no mapping
        tokenizer = TOKENIZERS[record["tokenizer"]]()
        fingerprint = record["vocabulary"]
        card = dict(record["card"])
        base = dict(record["base"]) if "base" in record else None
        config = shape_of(record["config"]) if base is None else None
    if fingerprint != tokenizer.vocabulary.fingerprint:
        raise ModelError(
            f"{path}: trained on the vocabulary {fingerprint}, this version has {tokenizer.vocabulary.fingerprint}; "
            "use the musegen that it was trained with, or train it again"
        )
    if config is None:
        under = _base(path, base or {})
        return Stored(under.config, _with_adapters(path, under.weights, tensors), card)
    if isinstance(config, ModelConfig):
        _check(path, config, tensors)
    else:
        _check_rolls(path, config, tensors)
    return Stored(config, tensors, card)


def architecture(name_or_path: str | Path) -> str:
    """What kind of network it is: "transformer", "rnn" or "dit"; raises as `read`."""
    if str(name_or_path) in _TINY:
        return "dit" if str(name_or_path) == TINY_DIFFUSION else "transformer"
    path = _find(name_or_path)
    with _reading(path), safe_open(path, framework="numpy") as stream:
        record = json.loads((stream.metadata() or {})["musegen"])
        if "config" in record:
            return str(record["config"]["architecture"])
    return _base(path, record["base"]).config.architecture


def load_any(name_or_path: str | Path) -> tuple[AnyModel, dict[str, Any]]:
    """A network of torch ready to use, and the facts of its card; raises as `read`."""
    import torch

    from musegen.models import build

    stored = read(name_or_path)
    is_random = str(name_or_path) == TINY_DIFFUSION
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # of the random models; else all is replaced
        model = build(stored.config)
    weights = {name: torch.from_numpy(values) for name, values in stored.weights.items()}
    try:
        model.load_state_dict(weights, strict=isinstance(stored.config, DitConfig) and not is_random)
    except RuntimeError as error:
        raise ModelError(f"{name_or_path}: weights are missing, unknown or of another shape; get it again") from error
    return model.eval(), stored.card


def load(name_or_path: str | Path) -> tuple[Model, dict[str, Any]]:
    """A network of tokens, of torch, and the facts of its card; raises as `read`, and for a diffusion model."""
    from musegen.models import Dit

    model, card = load_any(name_or_path)
    if isinstance(model, Dit):
        raise ModelError(f"{name_or_path} writes piano rolls, not tokens; name a model of tokens, such as transformer")
    return model, card


def load_denoiser(name_or_path: str | Path, *, threads: int = 1) -> tuple[Dit, dict[str, Any]]:
    """A diffusion model of torch, with so many threads from here on; raises as `read`, and for another model."""
    import torch

    from musegen.models import Dit

    model, card = load_any(name_or_path)
    if not isinstance(model, Dit):
        raise ModelError(f"{name_or_path} writes tokens, not piano rolls; name a diffusion model")
    torch.set_num_threads(threads)
    return model, card


def load_decoder(name_or_path: str | Path, *, threads: int = 1) -> tuple[Decoder, dict[str, Any]]:
    """A network of tokens ready to decode, and the facts of its card; raises as `read`, and for a diffusion model."""
    from musegen.engine import decoder

    stored = read(name_or_path)
    if isinstance(stored.config, DitConfig):
        raise ModelError(f"{name_or_path} writes piano rolls, not tokens; name a model of tokens, such as transformer")
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
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise ModelError(f"{path}: no model of musegen; train one with musegen train") from error


def _check(path: Path, config: ModelConfig, tensors: Mapping[str, Floats]) -> None:
    """Raise ModelError unless these are the weights of such a network."""
    wanted = parameters(config)
    wrong = [name for name in sorted({*wanted, *tensors}) if name not in wanted or name not in tensors]
    if wrong:
        raise ModelError(f"{path}: weights are missing or unknown ({', '.join(wrong[:3])})")
    if any(tensors[name].shape != shape for name, shape in wanted.items()):
        raise ModelError(f"{path}: no model of musegen; train one with musegen train")


def _check_rolls(path: Path, config: DitConfig, tensors: Mapping[str, Floats]) -> None:
    """Raise ModelError unless these are weights for rolls and conditions as this version has them."""
    own = roll_preset(TINY_DIFFUSION, CLIP_SIZES, BEAT_SIZES, CHORD_SIZE)
    for name in ("condition_sizes", "beat_sizes", "chord_size", "n_pitches", "beat"):
        if getattr(config, name) != getattr(own, name):
            raise ModelError(
                f"{path}: trained with {name} {getattr(config, name)}, this version has {getattr(own, name)}; "
                "train it again or get a newer file"
            )
    if not tensors:
        raise ModelError(f"{path}: weights are missing; get it again")


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
    if str(name_or_path) in _TINY:
        return dict(_TINY_CARD)
    path = _find(name_or_path)
    with _reading(path), safe_open(path, framework="numpy") as stream:
        return dict(json.loads((stream.metadata() or {})["musegen"])["card"])


def checksum(name_or_path: str | Path) -> str:
    """Twelve hexadecimal digits of the file's SHA-256, which a piece records."""
    if str(name_or_path) in _TINY:
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


def _tiny(name: str) -> Stored:
    if name == TINY_DIFFUSION:
        shape = roll_preset("tiny-diffusion", CLIP_SIZES, BEAT_SIZES, CHORD_SIZE)
        return Stored(shape, {}, dict(_TINY_CARD))
    tokenizer = TOKENIZERS["remi"]()
    config = preset("tiny", tokenizer.vocabulary.size, tokenizer.attribute_sizes)
    random = np.random.RandomState(0)  # its numbers stay the same in all versions of NumPy
    weights = {
        name: (np.ones(shape) if len(shape) == 1 else 0.02 * random.standard_normal(shape)).astype(np.float32)
        for name, shape in parameters(config).items()
    }
    return Stored(config, weights, dict(_TINY_CARD))
