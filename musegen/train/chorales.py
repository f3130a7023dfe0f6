"""Training and measuring for the JSB chorales benchmark: networks over counted contexts, and their average.

A chorale of T steps is T + 1 rows, the last for its end. In training each is moved by -6 to 5 semitones at random,
and long ones are cut at bars. Weights are averaged over the run; several networks are averaged in probability,
note by note, which is one autoregressive model again.

Letters: B chorales, T rows, V voices, E contexts, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from musegen.errors import RequestError
from musegen.evaluate.chorale_contexts import CLASSES, N_IDS, ORDER, ages, class_table, ids_of
from musegen.evaluate.chorales import Cost, Figure, Grid, evaluate
from musegen.models.chorale_net import MAX_AGE, ChoraleConfig, ChoraleNet, Inputs, Voice
from musegen.train.config import warmup_cosine
from musegen.train.optim import update_average

_MEASURED_TOGETHER = 20
"""Chorales in a batch when measuring."""


@dataclass(frozen=True)
class ChoraleTraining:
    """How one network is trained."""

    epochs: int = 24
    batch: int = 4
    """Chorales a step: few, since there are 229 of them and steps are what a short run lacks."""
    crop: int = 320
    """Most rows of an example."""
    lr: float = 1.5e-3
    warmup: float = 0.03
    weight_decay: float = 0.1
    clip: float = 1.0
    averaging: float = 0.998
    """Decay of the averaged weights a step."""
    transposition: tuple[int, int] = (-6, 5)
    """Semitones, both ends included: all twelve keys."""
    bf16: bool = True
    """Compute in bfloat16 where torch thinks it safe."""
    seed: int = 0
    network: ChoraleConfig = field(default_factory=ChoraleConfig)

    def __post_init__(self) -> None:
        """Raise RequestError for values out of range."""
        if min(self.epochs, self.batch, self.crop) < 1 or self.crop % 16:
            raise RequestError("epochs, batch and crop are 1 or more, and crop a multiple of 16 steps")
        low, high = self.transposition
        if not -6 <= low <= 0 <= high <= 6:
            raise RequestError(f"transposition {low}..{high} must include 0 and stay within -6..6")


MEMBERS: dict[str, ChoraleTraining] = {
    "recurrent": ChoraleTraining(),
    "attending": ChoraleTraining(
        lr=1e-3, weight_decay=0.05,
        network=ChoraleConfig(
            body="attending", n_layer=3, dropout=0.25, voice_dropout=0.3, context_dropout=0.2
        ),
    ),
}  # fmt: skip
"""The two kinds of network that are averaged, each with several seeds."""


@dataclass(frozen=True, eq=False)
class Example:
    """A chorale as rows (T + 1, ...): what Inputs holds, and `length` T."""

    ids: npt.NDArray[np.int64]
    previous: npt.NDArray[np.int64]
    age: npt.NDArray[np.int64]
    phase: npt.NDArray[np.int64]
    contexts: npt.NDArray[np.float16]
    length: int

    def moved(self, semitones: int) -> Example:
        """In another key; what contexts say is the same in all."""
        ids = np.where(self.ids > 0, self.ids + semitones, 0)
        known = (self.previous > 0) & (self.previous < N_IDS)
        if (ids[ids > 0] < 1).any() or (ids >= N_IDS).any():
            return self
        return replace(self, ids=ids, previous=np.where(known, self.previous + semitones, self.previous))

    def cut(self, start: int, rows: int) -> Example:
        """Some of the rows; `length` says where the end is, perhaps beyond them."""
        part = slice(start, start + rows)
        return Example(
            self.ids[part], self.previous[part], self.age[part], self.phase[part], self.contexts[part],
            self.length - start,
        )  # fmt: skip


def example(grid: Grid, contexts: npt.NDArray[np.float16]) -> Example:
    """The rows of a chorale with what the contexts say (T, V, E, C)."""
    ids, steps = ids_of(grid), len(grid)
    age = np.minimum(ages(ids), MAX_AGE)
    silent = np.full((1, *contexts.shape[1:]), -math.log(CLASSES), np.float16)
    return Example(
        ids=np.vstack((ids, np.zeros((1, 4), np.int64))),
        previous=np.vstack((np.full((1, 4), N_IDS), ids)),
        age=np.vstack((np.full((1, 4), MAX_AGE + 1), age)),
        phase=np.arange(steps + 1) % 16,
        contexts=np.concatenate((contexts, silent)),
        length=steps,
    )


def collate(examples: Sequence[Example]) -> tuple[Inputs, Tensor]:
    """Pad to one length at the end: Inputs (B, T, ...) and the lengths (B,)."""
    rows = max(len(e.ids) for e in examples)

    def padded(arrays: Sequence[npt.NDArray[np.generic]]) -> Tensor:
        full = np.zeros((len(arrays), rows, *arrays[0].shape[1:]), arrays[0].dtype)
        for row, array in zip(full, arrays, strict=True):
            row[: len(array)] = array
        return torch.from_numpy(full)

    inputs = Inputs(*(padded([getattr(e, name) for e in examples]) for name in Inputs._fields))
    return inputs, torch.tensor([e.length for e in examples])


def costs(net: ChoraleNet, inputs: Inputs, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Nats of the cells (B, T, V), in the order of the network, and of ending or not before each row (B, T).

    0 outside of the chorales.
    """
    told, end = net(inputs)
    row = torch.arange(end.shape[1])
    cells = torch.stack([
        -log_p.gather(-1, inputs.ids[..., voice, None])[..., 0]
        for voice, log_p in zip(net.config.order, told, strict=True)
    ], dim=-1)  # fmt: skip
    cells = torch.where((row < lengths[:, None])[..., None], cells, 0.0)
    goes_on = (row < lengths[:, None]) & (inputs.previous[..., 0] != net.config.n_ids)
    ends = torch.where(goes_on, functional.softplus(end), 0.0)
    return cells, ends + torch.where(row == lengths[:, None], functional.softplus(-end), 0.0)


def new_network(config: ChoraleTraining, n_contexts: int) -> ChoraleNet:
    """A network for so many predictions of contexts; its weights follow from the seed."""
    torch.manual_seed(config.seed)
    return ChoraleNet(replace(config.network, n_contexts=n_contexts), torch.from_numpy(class_table()))


def batches(examples: Sequence[Example], config: ChoraleTraining, epoch: int) -> list[list[Example]]:
    """One epoch: all chorales once, each in a key and, if long, cut at a bar, as (seed, epoch) say."""
    rng = np.random.default_rng([config.seed, epoch])
    low, high = config.transposition
    order = sorted(rng.permutation(len(examples)).tolist(), key=lambda i: (examples[i].length // 64, rng.random()))
    drawn = []
    for i in order:
        moved = examples[i].moved(int(rng.integers(low, high + 1)))
        bars = max(0, len(moved.ids) - config.crop + 15) // 16
        drawn.append(moved.cut(16 * int(rng.integers(bars + 1)), config.crop))
    groups = [drawn[k : k + config.batch] for k in range(0, len(drawn), config.batch)]
    return [groups[k] for k in rng.permutation(len(groups))]


def begin(net: ChoraleNet, examples: Sequence[Example], every: int = 3) -> None:
    """Set the base weights to those of the best plain mixture, found on one chorale in `every`.

    The mixture of each voice at each sixteenth is convex in its weights; L-BFGS finds it within seconds.
    """
    chosen = examples[::every]
    phase = torch.from_numpy(np.concatenate([e.phase[: e.length] for e in chosen])) % 4
    for place, (voice, layer) in enumerate(zip(net.config.order, net.voices, strict=True)):
        assert isinstance(layer, Voice)
        said = torch.from_numpy(np.concatenate([e.contexts[: e.length, place] for e in chosen])).float()  # (N, E, C)
        last = np.concatenate([np.minimum(e.previous[: e.length, voice], N_IDS - 1) for e in chosen])
        now = np.concatenate([e.ids[: e.length, voice] for e in chosen])
        moves = net.classes[torch.from_numpy(last), torch.from_numpy(now)]
        weights = layer.base.detach().clone().requires_grad_()
        optimizer = torch.optim.LBFGS([weights], max_iter=30)

        def closure(
            said: Tensor = said, moves: Tensor = moves, weights: Tensor = weights,
            optimizer: torch.optim.LBFGS = optimizer,
        ) -> Tensor:  # fmt: skip
            optimizer.zero_grad()
            value = functional.cross_entropy(torch.einsum("ne,nec->nc", weights[phase], said), moves)
            value.backward()  # type: ignore[no-untyped-call]
            return value

        optimizer.step(closure)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            layer.base.copy_(weights)


def train(
    net: ChoraleNet,
    examples: Sequence[Example],
    config: ChoraleTraining,
    after_epoch: Callable[[int, float, ChoraleNet], None] | None = None,
) -> None:
    """Train from the best plain mixture on; the network ends with its averaged weights.

    `after_epoch` is called with the epochs done, their mean loss in nats a cell, and the network, averaged.
    """
    begin(net, examples)
    torch.manual_seed(config.seed)
    slow = {name: p.detach().clone() for name, p in net.named_parameters()}
    decayed = [p for name, p in net.named_parameters() if not name.endswith(".base")]
    base = [p for name, p in net.named_parameters() if name.endswith(".base")]
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": base, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=config.lr, betas=(0.9, 0.98), weight_decay=config.weight_decay)
    total, step = config.epochs * math.ceil(len(examples) / config.batch), 0
    for epoch in range(config.epochs):
        net.train()
        nats = cells = 0.0
        for group in batches(examples, config, epoch):
            for part in optimizer.param_groups:
                part["lr"] = warmup_cosine(step / total, config.lr, config.warmup, 0.02)
            inputs, lengths = collate(group)
            with torch.autocast("cpu", torch.bfloat16, enabled=config.bf16):
                by_cell, ends = costs(net, inputs, lengths)
            n = 4 * int(lengths.clamp(max=inputs.ids.shape[1]).sum())
            loss = (by_cell.sum() + ends.sum()) / n
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(net.parameters(), config.clip)
            optimizer.step()
            step += 1
            nats, cells = nats + loss.item() * n, cells + n
            update_average(slow, net, min(config.averaging, (1 + step) / (10 + step)))
        own = {name: p.detach().clone() for name, p in net.named_parameters()}
        net.load_state_dict(slow, strict=False)
        if after_epoch is not None:
            after_epoch(epoch + 1, nats / cells, net.eval())
        if epoch + 1 < config.epochs:
            net.load_state_dict(own, strict=False)
    net.eval()


def measure(nets: Sequence[ChoraleNet], examples: Sequence[Example]) -> list[Cost]:
    """What the average of the networks charges for each chorale.

    Probabilities are averaged note by note, given the same past: an autoregressive model itself.
    """
    result = []
    for start in range(0, len(examples), _MEASURED_TOGETHER):
        group = examples[start : start + _MEASURED_TOGETHER]
        cells, ends = [], []
        with torch.inference_mode():
            inputs, lengths = collate(group)
            for net in nets:
                by_cell, by_row = costs(net.eval(), inputs, lengths)
                cells.append(-by_cell.double())
                ends.append(-by_row.double())
        by_cell, by_row = _mean(cells), _mean(ends)  # (B, T, V), (B, T)
        for row, e in enumerate(group):
            in_voices = np.empty((e.length, 4))
            in_voices[:, list(ORDER)] = -by_cell[row, : e.length].numpy()
            result.append(Cost(in_voices, -float(by_row[row].sum())))
    return result


def _mean(logs: Sequence[Tensor]) -> Tensor:
    """The logarithm of the mean of what these are the logarithms of."""
    return torch.stack(list(logs)).logsumexp(dim=0) - math.log(len(logs))


def figure(nets: Sequence[ChoraleNet], examples: Sequence[Example], grids: Sequence[Grid]) -> Figure:
    """The benchmark's figure of the average of these networks."""
    return evaluate(measure(nets, examples), grids)
