"""A run's folder from its first minute to its last: what the commands and the script that train share.

The folder holds what was asked (asked.json), shards if they had to be built first, the state, the log and the curve.
A run stopped or killed goes on when the same is asked again; another wish is refused, never mixed in.
"""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from musegen import checkpoint
from musegen.conditions import BEAT_SIZES, CHORD_SIZE, CLIP_SIZES
from musegen.corpus.build import Advance, BuildConfig, build
from musegen.corpus.shards import INFO_FILE, Split, load_info
from musegen.errors import MusegenError, RequestError
from musegen.evaluate.likelihood import Likelihood
from musegen.score.formats import write_bytes
from musegen.shapes import PRESETS, Shape, preset, roll_preset, shape_of
from musegen.tokens import Remi
from musegen.train.config import TrainConfig
from musegen.train.curve import CURVE_FILE, LOG_FILE
from musegen.train.distributed import Place
from musegen.train.state import STATE_FILE, Run, start
from musegen.train.trainer import Habits, stopping, train

ASKED_FILE, SHARDS = "asked.json", "shards"
BEST_FILE = "best.safetensors"
"""Of fine-tuning: the weights of the best measure so far."""


@dataclass(frozen=True)
class Wishes:
    """A new network and how it is trained: exactly one of `seconds` and `steps` above 0."""

    preset: str = "small"
    seconds: float = 0.0
    steps: int = 0
    seed: int = 0
    model_options: Mapping[str, Any] = field(default_factory=dict)
    """Of ModelConfig, other than the preset's."""
    train_options: Mapping[str, Any] = field(default_factory=dict)
    """Of TrainConfig, other than its defaults."""
    base: str | None = None
    """Name or file of a model whose weights, and shape, the run begins with, instead of the preset's."""


def assignments(items: Sequence[str]) -> dict[str, Any]:
    """Read NAME=VALUE pairs; values as JSON.

    Raises:
        RequestError: for what cannot be read.
    """
    result = {}
    for item in items:
        name, equals, value = item.partition("=")
        try:
            result[name] = json.loads(value)
        except ValueError as error:
            raise RequestError(f"cannot read {item!r}; write NAME=VALUE, e.g. n_layer=4") from error
        if not equals:
            raise RequestError(f"cannot read {item!r}; write NAME=VALUE, e.g. n_layer=4")
    return result


def new_run(wishes: Wishes, place: Place) -> Run:
    """A run at step 0.

    Raises:
        RequestError, ModelError: for options that there are not, or that do not go together; for a base that cannot
            be loaded.
    """
    tokenizer, weights = Remi(), None
    shape: Shape
    if wishes.base is not None:
        model, _ = checkpoint.load_any(wishes.base)
        shape = shape_of({**model.config.to_dict(), **wishes.model_options})
        weights = dict(model.named_parameters())
    elif PRESETS.get(wishes.preset, {}).get("architecture") == "dit":
        shape = roll_preset(wishes.preset, CLIP_SIZES, BEAT_SIZES, CHORD_SIZE, **wishes.model_options)
    else:
        shape = preset(wishes.preset, tokenizer.vocabulary.size, tokenizer.attribute_sizes, **wishes.model_options)
    config = TrainConfig(wishes.seconds, wishes.steps, context=shape.context, seed=wishes.seed)
    try:
        return start(shape, replace(config, **wishes.train_options), place, weights)
    except TypeError as error:
        raise RequestError(f"no such training option ({error}); see musegen/train/config.py") from error


def machine(place: Place) -> str:
    """What a model card says of the machine."""
    if place.is_accelerator:
        name = torch.cuda.get_device_name(place.device)
        return f"{place.world} x {name}" if place.world > 1 else name
    threads = torch.get_num_threads()
    return f"{platform.machine()} CPU, {threads} thread{'s' * (threads > 1)}"


@contextmanager
def claimed(folder: Path, asked: Mapping[str, Any]) -> Iterator[None]:
    """A run's folder with a note of what is asked; if the block fails before there is a state, nothing is left of it.

    Raises:
        RequestError: if something else was asked of the run that it holds.
        FileFormatError: if the folder cannot be written.
    """
    path = folder / ASKED_FILE
    wanted = json.loads(json.dumps(asked))
    if path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))
        for name in sorted({*before, *wanted}):
            if before.get(name) != wanted.get(name):
                raise RequestError(
                    f"{folder} holds a run with {name} {before.get(name)}, not {wanted.get(name)}; ask for the same to "
                    "go on with it, name another --run, or remove the folder"
                )
    write_bytes(json.dumps(wanted, indent=1).encode(), path, force=True)
    try:
        yield
    except MusegenError:
        if not (folder / STATE_FILE).exists():
            clear(folder)
        raise


def shards_of(
    folders: Sequence[Path], run_folder: Path, config: BuildConfig, advance: Advance
) -> tuple[Path, dict[str, Any]]:
    """The folder of the shards and what shards.json says: of one folder of shards, or built of folders of music.

    Raises:
        RequestError: if shards are named beside other folders, or a style is asked of them; and as `build`.
        FileFormatError, ModelError: as `build` and `load_info`.
    """
    ready = [folder for folder in folders if (folder / INFO_FILE).is_file()]
    if ready and len(folders) > 1:
        raise RequestError(f"{ready[0]} holds shards: name it alone, or build shards of all folders of music first")
    if ready and config.style is not None:
        raise RequestError(f"{ready[0]} holds shards, whose pieces have their styles already; name folders of music")
    shards = ready[0] if ready else run_folder / SHARDS
    if not (shards / INFO_FILE).is_file():
        build(folders, shards, config=config, advance=advance)
    return shards, load_info(shards, Remi().vocabulary.fingerprint)


def carry_on(
    run: Run,
    learned: Split,
    valid: Split,
    folder: Path,
    habits: Habits,
    *,
    report: Callable[[str], None],
    after_save: Callable[[Run], None] = lambda _run: None,
    after_measure: Callable[[Run, Mapping[str, Likelihood]], None] = lambda _run, _held_out: None,
) -> tuple[dict[str, Likelihood], int]:
    """Train to the end, or until a signal: the last measure, and the signal that stopped the run (0: none did).

    A run that ends early, out of patience, has no last measure.

    Raises:
        RequestError: if there is nothing to measure on, before anything is trained; and as `train`.
    """
    if not len(valid):
        raise RequestError("these shards have no piece in valid to measure on; build them again of more music")
    with stopping() as stop:
        held_out = train(
            run, learned, valid, folder, habits,
            stop=stop, report=report, after_save=after_save, after_measure=after_measure,
        )  # fmt: skip
    return held_out, 0 if run.progress >= 1 else stop.signal


def put_beside(folder: Path, weights: Path) -> list[Path]:
    """Copy a run's log and curve beside its weights, under their name; which there are (no curve without Pillow)."""
    written = []
    for name in (LOG_FILE, CURVE_FILE):
        if (folder / name).is_file():
            target = weights.with_suffix(Path(name).suffix)
            write_bytes((folder / name).read_bytes(), target, force=True)
            written.append(target)
    return written


def clear(folder: Path) -> None:
    """Remove a run's folder, or of a folder that holds more, what a run put there."""
    for name in (ASKED_FILE, STATE_FILE, BEST_FILE, LOG_FILE, CURVE_FILE):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / SHARDS, ignore_errors=True)
    with suppress(OSError):  # it holds what is not ours
        folder.rmdir()
