"""The training loop, and a run's folder.

A run's folder holds log.csv and state.safetensors, which is written whole or not at all: configuration, weights,
averaged weights, optimizer state, step and seconds. Killed at any moment, a run goes on from the last state.
Batches and dropout follow from (seed, step), so there is no other random state to keep.
"""

from __future__ import annotations

import csv
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from musegen.corpus.shards import Split
from musegen.errors import ModelError
from musegen.evaluate.likelihood import Likelihood, evaluate
from musegen.models import Model, ModelConfig, build
from musegen.train.config import TrainConfig
from musegen.train.data import Sampler
from musegen.train.objective import loss, scorer
from musegen.train.optim import adamw, optimizer_tensors, restore_optimizer, update_average

STATE_FILE, LOG_FILE = "state.safetensors", "log.csv"
LOG_COLUMNS = ("step", "seconds", "tokens", "lr", "train_loss", "valid_nats_per_note", "valid_by_source")


@dataclass(eq=False)
class Run:
    """A run in memory: it changes as it trains."""

    model: Model
    average: dict[str, Tensor]
    optimizer: torch.optim.AdamW
    config: TrainConfig
    step: int = 0
    seconds: float = 0.0
    tokens: int = 0
    averaged_to: float = 0.0
    """Progress at the last update of the averaged weights."""

    @property
    def progress(self) -> float:
        """How much of the budget is spent."""
        return self.config.progress(self.step, self.seconds)


def start(model_config: ModelConfig, config: TrainConfig) -> Run:
    """A run at step 0; its weights follow from the seed."""
    torch.manual_seed(config.seed)
    model = build(model_config)
    average = {name: p.detach().clone() for name, p in model.named_parameters()}
    return Run(model, average, adamw(model, config), config)


def train_step(run: Run, sampler: Sampler) -> float:
    """One optimizer step; returns the loss in nats a token."""
    progress = run.progress
    for group in run.optimizer.param_groups:
        group["lr"] = run.config.learning_rate(progress)
    torch.manual_seed(run.config.seed * 1_000_003 + run.step)  # dropout follows from the step, so a run resumes
    batch = sampler.batch(run.step)
    run.model.train()
    value = loss(run.model, batch)
    run.optimizer.zero_grad(set_to_none=True)
    value.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(run.model.parameters(), run.config.clip)
    run.optimizer.step()
    update_average(run.average, run.model, 0.5 ** ((progress - run.averaged_to) / run.config.ema_half_life))
    run.averaged_to = progress
    run.step += 1
    run.tokens += batch.n_tokens
    return value.item()


def steps(run: Run, sampler: Sampler) -> Iterator[float]:
    """Train to the end of the budget, yielding each step's loss. Time spent by the consumer counts."""
    began = time.monotonic() - run.seconds
    while run.progress < 1:
        value = train_step(run, sampler)
        run.seconds = time.monotonic() - began
        yield value
        run.seconds = time.monotonic() - began


@contextmanager
def averaged(run: Run) -> Iterator[Model]:
    """The model with its averaged weights for the time of the block."""
    own = {name: p.detach().clone() for name, p in run.model.named_parameters()}
    try:
        run.model.load_state_dict(run.average, strict=False)
        yield run.model
    finally:
        run.model.load_state_dict(own, strict=False)


def finished(run: Run) -> Model:
    """The run's model with its averaged weights for good, ready to use."""
    run.model.load_state_dict(run.average, strict=False)
    return run.model.eval()


def measure(run: Run, valid: Split) -> dict[str, Likelihood]:
    """Held-out likelihood of the averaged weights, by source and for all."""
    with averaged(run) as model:
        return evaluate(scorer(model), valid, run.config.context)


def save_state(run: Run, folder: Path) -> None:
    """Write the run's state so that a kill at any moment leaves the old or the new one whole."""
    tensors = {f"model.{name}": p.detach() for name, p in run.model.named_parameters()}
    tensors |= {f"average.{name}": t for name, t in run.average.items()}
    tensors |= optimizer_tensors(run.model, run.optimizer)
    facts = {
        "step": run.step,
        "seconds": run.seconds,
        "tokens": run.tokens,
        "averaged_to": run.averaged_to,
        "train": run.config.to_dict(),
        "model": run.model.config.to_dict(),
    }
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"{STATE_FILE}.{os.getpid()}.tmp"
    contiguous = {name: t.contiguous() for name, t in tensors.items()}
    save_file(contiguous, temporary, metadata={"musegen": json.dumps(facts)})
    with temporary.open("rb+") as stream:
        os.fsync(stream.fileno())
    temporary.replace(folder / STATE_FILE)


def load_state(folder: Path) -> Run:
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
    run = start(ModelConfig.from_dict(facts["model"]), TrainConfig.from_dict(facts["train"]))
    with torch.no_grad():
        for name, parameter in run.model.named_parameters():
            parameter.copy_(tensors[f"model.{name}"])
            run.average[name].copy_(tensors[f"average.{name}"])
    restore_optimizer(run.model, run.optimizer, tensors)
    for name in ("step", "seconds", "tokens", "averaged_to"):
        setattr(run, name, facts[name])
    return run


def append_log(folder: Path, row: dict[str, Any]) -> None:
    """Add a row to log.csv; rows from beyond the step (of a killed run) are removed first."""
    path = folder / LOG_FILE
    rows: list[dict[str, Any]] = []
    if path.exists():
        with path.open(newline="", encoding="utf-8") as stream:
            rows = [old for old in csv.DictReader(stream) if int(old["step"]) < row["step"]]
    temporary = path.with_suffix(".tmp")
    with temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, LOG_COLUMNS)
        writer.writeheader()
        writer.writerows([*rows, row])
    temporary.replace(path)


def train(
    run: Run,
    train_split: Split,
    valid: Split,
    folder: Path,
    *,
    save_seconds: float = 180.0,
    report: Callable[[str], None] | None = None,
) -> dict[str, Likelihood]:
    """Train to the end of the budget, measuring and saving every `save_seconds`; returns the last measure."""
    sampler = Sampler(train_split, run.config)
    losses: list[float] = []
    saved = time.monotonic()

    def checkpoint() -> dict[str, Likelihood]:
        nonlocal losses, saved
        measured = measure(run, valid)
        save_state(run, folder)
        by_source = {name: round(m.nats_per_note, 4) for name, m in measured.items()}
        row = {
            "step": run.step,
            "seconds": round(run.seconds, 1),
            "tokens": run.tokens,
            "lr": f"{run.config.learning_rate(run.progress):.3g}",
            "train_loss": round(sum(losses) / max(1, len(losses)), 4),
            "valid_nats_per_note": by_source["all"],
            "valid_by_source": json.dumps(by_source),
        }
        append_log(folder, row)
        if report is not None:
            report("  ".join(f"{key} {value}" for key, value in row.items()))
        losses, saved = [], time.monotonic()
        return measured

    for value in steps(run, sampler):
        losses.append(value)
        if time.monotonic() - saved >= save_seconds:
            checkpoint()
    return checkpoint()
