"""Work on files in processes of their own, each file within a limit of time and memory.

A process that passes a limit, dies or hangs costs its file, which is told why, and a new one takes its place. One
file is sent at a time, so what a process had when it ended is always known.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any, Generic, TypeVar

from musegen.errors import MusegenError

A = TypeVar("A")
B = TypeVar("B")

_START_SECONDS = 120.0
"""How long a process may take to import what it needs, on a busy machine."""


@dataclass(frozen=True)
class FileLimits:
    """What one file may take."""

    seconds: float = 20.0
    """From being sent to a process to its answer."""
    megabytes: int = 2048
    """Address space beyond what the process takes by itself; kept where the system can (Linux)."""


@dataclass(frozen=True)
class Failed:
    """No result, and why."""

    reason: str


def run(
    function: Callable[[A], B], items: Sequence[A], limits: FileLimits, workers: int
) -> Iterator[tuple[int, B | Failed]]:
    """Yield (index, function(item)) for all items as they are done, in no order.

    `function` must be picklable; what it raises, a MemoryError apart, ends its process and costs the item.

    Raises:
        MusegenError: if processes cannot be started.
    """
    waiting = deque(range(len(items)))
    crew: list[_Worker[A, B]] = []
    try:
        crew += (_Worker(function, limits) for _ in range(min(workers, len(items))))
        while waiting or any(worker.item is not None for worker in crew):
            for worker in crew:
                if worker.is_free and waiting:
                    index = waiting.popleft()
                    worker.send(index, items[index])
            yield from _answers(crew)
    finally:
        for worker in crew:
            worker.end()


def _answers(crew: Sequence[_Worker[A, B]]) -> Iterator[tuple[int, B | Failed]]:
    """What arrives or fails next; nothing where a process has only become ready."""
    busy = [worker for worker in crew if not worker.is_free]
    nearest = min(worker.deadline for worker in busy)
    ready = wait([worker.connection for worker in busy], timeout=max(0.0, nearest - time.monotonic()))
    for worker in busy:
        if worker.connection in ready:
            answer = worker.receive()
        elif time.monotonic() > worker.deadline:
            answer = worker.give_up(Failed(f"took longer than {worker.limits.seconds:g} seconds"))
        else:
            continue
        if answer is not None:
            yield answer


class _Worker(Generic[A, B]):
    """A process and the item that it has."""

    def __init__(self, function: Callable[[A], B], limits: FileLimits) -> None:
        self.function, self.limits = function, limits
        self._start()

    def _start(self) -> None:
        context = get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, self.function, self.limits.megabytes))
        self.process.start()
        theirs.close()
        self.item: int | None = None
        self.is_ready = False
        self.deadline = time.monotonic() + _START_SECONDS

    @property
    def is_free(self) -> bool:
        """Whether it can take an item."""
        return self.is_ready and self.item is None

    def send(self, index: int, item: A) -> None:
        """Give it an item; if it is dead, `receive` will tell."""
        self.item, self.deadline = index, time.monotonic() + self.limits.seconds
        with suppress(OSError):
            self.connection.send(item)

    def receive(self) -> tuple[int, B | Failed] | None:
        """What has arrived: an answer, or None for word that it is ready."""
        try:
            result = self.connection.recv()
        except (EOFError, OSError):
            return self.give_up(Failed("the process that read it died"))
        if isinstance(result, _OutOfMemory):
            return self.give_up(Failed(f"took more than {self.limits.megabytes} megabytes of memory"))
        if self.item is None:
            self.is_ready = True
            return None
        index, self.item = self.item, None
        return index, result

    def give_up(self, why: Failed) -> tuple[int, B | Failed]:
        """End the process, begin another and tell what became of the item."""
        index = self.item
        self.end()
        if index is None:
            raise MusegenError(
                f"a process that reads files ended before its first ({self.process.exitcode}); is there memory left?"
            )
        self._start()
        return index, why

    def end(self) -> None:
        """End the process and what it has started."""
        if self.process.is_alive():
            if self.is_ready and sys.platform != "win32":  # ready: it leads a group of its own
                with suppress(ProcessLookupError):
                    os.killpg(self.process.pid or 0, signal.SIGKILL)
            self.process.kill()
        self.process.join()
        self.connection.close()


@dataclass(frozen=True)
class _OutOfMemory:
    """Sent instead of a result."""


def _serve(connection: Connection, function: Callable[[Any], Any], megabytes: int) -> None:
    """Answer items until the other side goes."""
    if sys.platform != "win32":
        os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is for the process that the user started to tell
    _limit_memory(megabytes)
    connection.send("ready")
    with suppress(EOFError):
        while True:
            item = connection.recv()
            try:
                result = function(item)
            except MemoryError:
                result = _OutOfMemory()
            connection.send(result)


def _limit_memory(megabytes: int) -> None:
    """Let the process take so much more address space than it has."""
    status = Path("/proc/self/statm")
    if sys.platform == "win32" or not status.exists():
        return
    import resource

    limit = int(status.read_text().split()[0]) * resource.getpagesize() + megabytes * 2**20
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or limit < hard:
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
