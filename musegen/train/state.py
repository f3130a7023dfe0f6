"""A run in memory, and in its folder as state.safetensors.

The file is written whole or not at all: configuration, weights, averaged weights, optimizer state, step and seconds.
Killed at any moment, a run goes on from the last state, on any device and in any number of processes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from musegen.errors import ModelError
from musegen.models import AnyModel, build
from musegen.models.dit import Dit
from musegen.models.lora import adapt
from musegen.shapes import Shape, shape_of
from musegen.train.config import TrainConfig
from musegen.train.distributed import HERE, Place, parted, whole, wrapped
from musegen.train.optim import adamw, optimizer_tensors, restore_optimizer

STATE_FILE = "state.safetensors"


@dataclass(eq=False)
class Run:
    """A run in memory: it changes as it trains."""

    model: AnyModel
    average: dict[str, Tensor]
    """Of the parameters that learn."""
    optimizer: torch.optim.AdamW
    config: TrainConfig
    network: nn.Module
    """The model as it is called in training, which may be many processes."""
    place: Place = HERE
    step: int = 0
    seconds: float = 0.0
    tokens: int = 0
    averaged_to: float = 0.0
    """Progress at the last update of the averaged weights."""

    @property
    def progress(self) -> float:
        """How much of the budget is spent."""
        return self.config.progress(self.step, self.seconds)

    @property
    def facts(self) -> dict[str, Any]:
        """All but the tensors, as JSON holds it."""
        return {
            "step": self.step,
            "seconds": self.seconds,
            "tokens": self.tokens,
            "averaged_to": self.averaged_to,
            "train": self.config.to_dict(),
            "model": self.model.config.to_dict(),
        }


def network_of(model_config: Shape, config: TrainConfig) -> AnyModel:
    """A new network as the run trains it, with adapters where only they learn."""
    model = build(model_config)
    if config.lora_rank:
        if isinstance(model, Dit):
            raise ModelError("adapters are for models of tokens; train all weights of a diffusion model (lora_rank 0)")
        adapt(model, config.lora_rank)
    return model


def start(
    model_config: Shape,
    config: TrainConfig,
    place: Place = HERE,
    weights: Mapping[str, Tensor] | None = None,
) -> Run:
    """A run at step 0; its weights follow from the seed, but for those given by their names.

    Raises:
        ModelError: for adapters that the model cannot have.
    """
    torch.manual_seed(config.seed)
    model = network_of(model_config, config).to(place.device)
    if weights is not None:
        model.load_state_dict(weights, strict=False)
    network = wrapped(model, place)
    average = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
    return Run(model, average, adamw(model, config), config, network, place)


def resumed(facts: Mapping[str, Any], place: Place = HERE) -> Run:
    """A run as these facts tell, its weights still those of step 0."""
    run = start(shape_of(facts["model"]), TrainConfig.from_dict(facts["train"]), place)
    for name in ("step", "seconds", "tokens", "averaged_to"):
        setattr(run, name, facts[name])
    return run


def averaged(run: Run) -> AnyModel:
    """A model of its own with the averaged weights, on the run's device, ready to use."""
    weights = {name: whole(t) for name, t in {**dict(run.model.named_parameters()), **run.average}.items()}
    model = network_of(run.model.config, run.config).to(run.place.device)
    model.load_state_dict(weights, strict=False)
    return model.eval()


def save_state(run: Run, folder: Path) -> None:
    """Write the run's state so that a kill at any moment leaves the old or the new one whole."""
    tensors = {f"model.{name}": p.detach() for name, p in run.model.named_parameters()}
    tensors |= {f"average.{name}": t for name, t in run.average.items()}
    tensors |= optimizer_tensors(run.model, run.optimizer)
    on_host = {name: whole(t).cpu().contiguous() for name, t in tensors.items()}
    if not run.place.is_first:
        return
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"{STATE_FILE}.{os.getpid()}.tmp"
    save_file(on_host, temporary, metadata={"musegen": json.dumps(run.facts)})
    with temporary.open("rb+") as stream:
        os.fsync(stream.fileno())
    temporary.replace(folder / STATE_FILE)


def load_state(folder: Path, place: Place = HERE) -> Run:
    """The run as it was last saved.

    Raises:
        ModelError: if there is no whole state in the folder.
    """
    path = folder / STATE_FILE
    try:
        with safe_open(path, framework="pt") as stream:
            facts = json.loads(stream.metadata()["musegen"])
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118  # no mapping
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path}: no state to resume from ({error}); start the run anew") from error
    run = resumed(facts, place)
    with torch.no_grad():
        for name, parameter in run.model.named_parameters():
            parameter.copy_(parted(tensors[f"model.{name}"], parameter))
            if name in run.average:
                run.average[name].copy_(parted(tensors[f"average.{name}"], parameter))
    restore_optimizer(run.model, run.optimizer, tensors)
    return run
