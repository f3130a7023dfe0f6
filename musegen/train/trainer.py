"""The training loop, on a CPU or an accelerator, in one process or many (distributed.py).

Batches and dropout follow from (seed, step), so there is no random state to keep, and a run resumed from its last
state (state.py) does the steps that an undisturbed one would. Losses stay on the device and are read some steps at a
time, so that an accelerator never waits for Python.
"""

from __future__ import annotations

import json
import math
import signal
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from musegen.corpus.shards import Piece, Split
from musegen.errors import RequestError
from musegen.evaluate.likelihood import Likelihood
from musegen.train.curve import append_log, draw_curve, measures_since_best, trim_log
from musegen.train.distributed import agreed, summed
from musegen.train.objectives import Drawn, objective_of
from musegen.train.optim import update_average
from musegen.train.state import Run, averaged, save_state

LOSSES_READ_TOGETHER = 20
"""Steps between two readings of the losses, and between two rows of the log."""
STEERING_CONTEXTS = 4
"""Measures on the way prefer pieces of at most so many contexts, since long ones cost much and say little more."""


@dataclass(frozen=True)
class Habits:
    """What happens beside the steps. Times in seconds of the run."""

    save_seconds: float = 180.0
    measure_seconds: float | None = None
    """Between two measures on valid; None: with every save."""
    measures: int = 0
    """So many measures, evenly over the run, instead of by time: they fall on the same steps on any machine."""
    valid_pieces: int = 16
    """Of each source, when measured on the way; the last measure takes all."""
    workers: int = 0
    """Processes that draw batches; 0: this one does."""
    patience: int = 0
    """So many measures in a row that are no better than the best one end the run early; 0: none do."""


class Stop:
    """Whether the run was asked to stop, by which signal (0: not), or has measured enough to end early."""

    def __init__(self) -> None:
        self.signal = 0
        self.early = False
        self._before: dict[int, Any] = {}

    def listen(self) -> None:
        """Take SIGTERM and SIGINT as the wish to stop; the second one ends the process as ever."""
        for number in (signal.SIGTERM, signal.SIGINT):
            self._before[number] = signal.signal(number, self._ask)

    def restore(self) -> None:
        """Leave signals to those who had them before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        self.signal = number
        self.restore()


@contextmanager
def stopping() -> Iterator[Stop]:
    """Let signals ask for a stop during the block."""
    stop = Stop()
    stop.listen()
    try:
        yield stop
    finally:
        stop.restore()


def train_step(run: Run, batches: Sequence[Drawn]) -> Tensor:
    """One optimizer step; returns this process's part of the loss, on its device (all parts sum to nats a token)."""
    config, place, progress, objective = run.config, run.place, run.progress, objective_of(run.model.config)
    for group in run.optimizer.param_groups:
        group["lr"] = config.learning_rate(progress)
    # Dropout follows from the step, so a run resumes; it differs between processes.
    torch.manual_seed((config.seed * 1_000_003 + run.step) * place.world + place.rank)
    run.network.train()
    n_targets = sum(batch.n_targets for batch in batches)
    parts = []
    for packed in batches:
        is_last = packed is batches[-1]
        alone = (
            nullcontext() if is_last or not isinstance(run.network, DistributedDataParallel) else run.network.no_sync()
        )
        with alone:
            with place.autocast():
                part = objective.loss(run.network, packed.share(place)) / max(1, n_targets)
            (part * place.world).backward()  # type: ignore[no-untyped-call]  # gradients are averaged over processes
        parts.append(part.detach())
    torch.nn.utils.clip_grad_norm_(run.model.parameters(), config.clip)
    run.optimizer.step()
    run.optimizer.zero_grad(set_to_none=True)
    update_average(run.average, run.model, 0.5 ** ((progress - run.averaged_to) / config.ema_half_life))
    run.averaged_to = progress
    run.step += 1
    run.tokens += n_targets
    return torch.stack(parts).sum()


def steps(run: Run, sampler: Any, *, workers: int = 0, stop: Stop | None = None) -> Iterator[Tensor]:
    """Train to the end of the budget, yielding each step's part of the loss. Time spent by the consumer counts."""
    began = time.monotonic() - run.seconds
    count = run.config.accumulate
    read = objective_of(run.model.config).batches
    stream = read(sampler, run.step * count, workers, pin=run.place.is_accelerator)
    while True:
        asked = 0 if stop is None else stop.signal or stop.early
        run.seconds, is_stopped = agreed(run.place, time.monotonic() - began, asked)
        if run.progress >= 1 or is_stopped:
            return
        yield train_step(run, [next(stream) for _ in range(count)])


def steering_pieces(valid: Split, n: int, context: int) -> list[Piece]:
    """About `n` pieces of each source, spread evenly over those of few contexts (the shortest, where few are)."""
    by_source = defaultdict(list)
    for index, length in enumerate(np.diff(valid.arrays["pieces"]).tolist()):
        by_source[int(valid.arrays["sources"][index])].append((length, index))
    chosen: list[int] = []
    for pieces in by_source.values():
        n_short = sum(length <= STEERING_CONTEXTS * context for length, _ in pieces)
        candidates = sorted(index for _, index in sorted(pieces)[: max(n, n_short)])
        places = np.linspace(0, len(candidates) - 1, min(n, len(candidates)))
        chosen += [candidates[round(place)] for place in places.tolist()]
    return [valid[index] for index in sorted(chosen)]


def measure(run: Run, pieces: Split | Sequence[Piece]) -> dict[str, Likelihood]:
    """Held-out likelihood of the averaged weights, by source and for all; nothing but in the first process."""
    model = averaged(run)
    if not run.place.is_first:
        return {}
    return objective_of(run.model.config).measure(model, pieces, run.config.context, run.place)


class _Keeper:
    """Reads losses, measures, saves and logs for `train`."""

    def __init__(
        self,
        run: Run,
        valid: Split,
        folder: Path,
        habits: Habits,
        stop: Stop,
        report: Callable[[str], None],
        after_save: Callable[[Run], None],
        after_measure: Callable[[Run, Mapping[str, Likelihood]], None],
    ) -> None:
        self.run, self.valid, self.folder, self.stop, self.report = run, valid, folder, stop, report
        self.after_save, self.after_measure = after_save, after_measure
        context = run.config.context * objective_of(run.model.config).tokens_a_context
        self.steering = steering_pieces(valid, habits.valid_pieces, context)
        self.save_seconds = habits.save_seconds
        self.measure_seconds = habits.save_seconds if habits.measure_seconds is None else habits.measure_seconds
        self.measures, self.patience = habits.measures, habits.patience
        self.done = self.measures_due
        self.losses: list[Tensor] = []
        self.saved = self.measured = time.monotonic()
        if run.place.is_first:
            trim_log(folder, run.step)
        self.judge()

    @property
    def measures_due(self) -> int:
        """How many of the measures that are spread over the run are due by now; the last is that of the end."""
        return min(int(self.run.progress * self.measures), self.measures - 1) if self.measures else 0

    def measure(self, pieces: Split | Sequence[Piece]) -> dict[str, Likelihood]:
        """Measure, log it and tell it on."""
        held_out = measure(self.run, pieces)
        self.read_losses(held_out)
        if held_out:
            self.after_measure(self.run, held_out)
            self.judge()
        self.measured, self.done = time.monotonic(), self.measures_due
        return held_out

    def judge(self) -> None:
        """End the run early if patience is out. The log tells, so a resumed run ends as an undisturbed one does."""
        if self.patience and self.run.place.is_first:
            self.stop.early = measures_since_best(self.folder) >= self.patience

    def read_losses(self, held_out: dict[str, Likelihood] | None = None) -> None:
        """Log the losses since the last reading, and a measure where there is one.

        Raises:
            RequestError: if a loss is not finite.
        """
        run = self.run
        losses = summed(run.place, torch.stack(self.losses)).tolist() if self.losses else []
        if not all(map(math.isfinite, losses)):
            raise RequestError(
                f"the loss is not finite near step {run.step}: use a lower lr or clip; {self.folder} keeps the last "
                "state before"
            )
        self.losses = []
        if not run.place.is_first or not (losses or held_out):
            return
        by_source = {name: round(m.nats_per_note, 4) for name, m in (held_out or {}).items()}
        row = {
            "step": run.step,
            "seconds": round(run.seconds, 1),
            "tokens": run.tokens,
            "lr": f"{run.config.learning_rate(run.progress):.3g}",
            "train_loss": round(sum(losses) / len(losses), 4) if losses else "",
            "valid_nats_per_note": by_source.get("all", ""),
            "valid_by_source": json.dumps(by_source) if by_source else "",
        }
        append_log(self.folder, row)
        if held_out:
            self.report("  ".join(f"{key} {value}" for key, value in row.items()))

    def after_step(self, value: Tensor) -> None:
        """Keep the step's loss, and do what is due."""
        self.losses.append(value)
        now = time.monotonic()
        by_time = now - self.measured >= self.measure_seconds
        due = (now - self.saved >= self.save_seconds, self.measures_due > self.done if self.measures else by_time)
        saves, measures = agreed(self.run.place, *due)
        if measures:
            self.measure(self.steering)
        if saves:
            self.save()
        elif self.run.step % LOSSES_READ_TOGETHER == 0:
            self.read_losses()

    def save(self) -> None:
        """Write the log, the state, and the picture of the log."""
        self.read_losses()
        save_state(self.run, self.folder)
        if self.run.place.is_first:
            draw_curve(self.folder)
        self.after_save(self.run)
        self.saved = time.monotonic()

    def end(self) -> dict[str, Likelihood]:
        """Measure on all of valid, unless the run was stopped before its end."""
        run = self.run
        if run.progress < 1:
            if self.stop.early:
                self.report(
                    f"stopped early, at step {run.step} after {run.seconds:.0f} s: {self.patience} measures in a row "
                    "were no better than the best one"
                )
            return {}
        self.report(f"measuring on {len(self.valid)} pieces of valid")
        held_out = self.measure(self.valid)
        if run.place.is_first:
            draw_curve(self.folder)
        self.after_save(run)  # once more, for the log's last row
        return held_out


def train(
    run: Run,
    train_split: Split,
    valid: Split,
    folder: Path,
    habits: Habits | None = None,
    *,
    stop: Stop | None = None,
    report: Callable[[str], None] = lambda _line: None,
    after_save: Callable[[Run], None] = lambda _run: None,
    after_measure: Callable[[Run, Mapping[str, Likelihood]], None] = lambda _run, _held_out: None,
) -> dict[str, Likelihood]:
    """Train to the end of the budget, saving and measuring on the way; the last measure, on all of valid.

    Asked to stop, or out of patience, the run is saved and nothing is measured: {}. So it is in all processes but the
    first.

    Raises:
        RequestError: if the loss is not finite, or there is nothing to train or to measure on.
    """
    habits, stop = habits or Habits(), stop or Stop()
    said = report if run.place.is_first else lambda _line: None
    keeper = _Keeper(run, valid, folder, habits, stop, said, after_save, after_measure)
    objective = objective_of(run.model.config)
    sampler = objective.sampler(train_split, run.config, run.model.config)
    if run.step == 0:
        objective.prepare(run.model, sampler)
        update_average(run.average, run.model, 0.0)  # it begins with the weights that training begins with
    for value in steps(run, sampler, workers=habits.workers, stop=stop):
        keeper.after_step(value)
    keeper.save()
    stop.restore()  # the last measure may take long, and nothing is lost with it
    return keeper.end()
