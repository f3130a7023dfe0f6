"""Batches read ahead, in worker processes or in this one, always in the order of the run.

A worker draws whole pools, since the sampler draws POOL_BATCHES batches together. A pool travels as one array of
int16, by pipe and not by shared memory (which containers keep small), and goes to an accelerator from pinned memory.

Letters: B rows, T tokens, A embedded attributes, N tokens of all batches of a pool.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from musegen.train.data import POOL_BATCHES, Batch
from musegen.train.distributed import Place

NO_TARGET = -100
MOST_CPUS = 16
"""A container often sees more CPUs than it may use."""


class Draws(Protocol):
    """What is needed of a sampler."""

    def batch(self, step: int, /) -> Batch:
        """Batch number `step` of the run."""


@dataclass(frozen=True, eq=False)
class Packed:
    """A batch: columns (B, T, A + 4) int16 are ids, attributes and targets; n_targets are learned from."""

    columns: Tensor
    n_targets: int

    def share(self, place: Place) -> Batch:
        """The rows of this process, on its device, int64: each `world`-th, or one without targets if none is left."""
        columns = self.columns.to(place.device, non_blocking=True)
        mine = columns[place.rank :: place.world]
        if not len(mine):  # every process takes part in every step
            mine = columns[:1].clone()
            mine[..., -1] = NO_TARGET
        return Batch(mine[..., 0].long(), mine[..., 1:-1].long(), mine[..., -1].long())


@dataclass(frozen=True, eq=False)
class Pool:
    """POOL_BATCHES batches: columns (N, A + 4) int16, and B, T and the number of targets of each."""

    columns: npt.NDArray[np.int16]
    sizes: tuple[tuple[int, int, int], ...]
    pinned: Tensor | None = None

    def pin_memory(self) -> Pool:
        """With the columns in pinned memory too; the loader's thread calls this."""
        return replace(self, pinned=torch.from_numpy(self.columns).pin_memory())

    def __iter__(self) -> Iterator[Packed]:
        columns = torch.from_numpy(self.columns) if self.pinned is None else self.pinned
        parts = torch.split(columns, [rows * tokens for rows, tokens, _ in self.sizes])
        for part, (rows, tokens, n_targets) in zip(parts, self.sizes, strict=True):
            yield Packed(part.view(rows, tokens, -1), n_targets)


class _Pools(Dataset[Pool]):
    """The pools of a sampler by their number."""

    def __init__(self, sampler: Draws) -> None:
        self.sampler = sampler

    def __getitem__(self, number: int) -> Pool:
        batches = [self.sampler.batch(number * POOL_BATCHES + i) for i in range(POOL_BATCHES)]
        columns, sizes = [], []
        for batch in batches:
            packed = torch.cat((batch.ids.unsqueeze(-1), batch.attributes, batch.targets.unsqueeze(-1)), dim=-1)
            assert packed.dtype == torch.int16 or int(packed.abs().max()) < 2**15
            columns.append(packed.flatten(0, 1).to(torch.int16).numpy())
            sizes.append((*batch.ids.shape, int((batch.targets != NO_TARGET).sum())))
        return Pool(np.concatenate(columns), tuple(sizes))


def default_workers(place: Place) -> int:
    """None on a CPU, which has no time to spare; beside an accelerator, this process's share of up to 16 CPUs."""
    if not place.is_accelerator:
        return 0
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    cpus = min(MOST_CPUS, os.cpu_count() or 1)
    return max(1, (cpus - 2) // processes)


def read_ahead(sampler: Draws, first: int, workers: int, *, pin: bool = False) -> Iterator[Packed]:
    """Batches number `first`, `first + 1` and so on for ever, drawn by so many processes (0: by this one)."""
    loader: DataLoader[Pool] = DataLoader(
        _Pools(sampler),
        sampler=itertools.count(first // POOL_BATCHES),
        batch_size=None,
        num_workers=workers,
        collate_fn=_as_it_is,
        pin_memory=pin,
        worker_init_fn=_deaf,
        prefetch_factor=2 if workers else None,
    )
    pools = itertools.chain.from_iterable(loader)
    return itertools.islice(pools, first % POOL_BATCHES, None)


class _Batches(Dataset[Any]):
    """The batches of a sampler by their number."""

    def __init__(self, sampler: Any) -> None:
        self.sampler = sampler

    def __getitem__(self, number: int) -> Any:
        return self.sampler.batch(number)


def read_batches(sampler: Any, first: int, workers: int, *, pin: bool = False) -> Iterator[Any]:  # noqa: ARG001  # as above
    """As `read_ahead`, for a sampler whose batches are arrays by themselves, one by one."""
    loader: DataLoader[Any] = DataLoader(
        _Batches(sampler),
        sampler=itertools.count(first),
        batch_size=None,
        num_workers=workers,
        collate_fn=_as_it_is,
        worker_init_fn=_deaf,
        prefetch_factor=4 if workers else None,
    )
    return iter(loader)


def _as_it_is(pool: Any) -> Any:
    return pool


def _deaf(_worker: int) -> None:
    """Leave signals to the process that trains: it saves first, then ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
