"""Many pieces into a folder, with a manifest from which an interrupted run goes on.

`manifest.jsonl` holds a line for each piece, in the order of the plan and from the beginning on: its options, seed,
model and state, and once it is written its size in music and the SHA-256 of its file. It is rewritten whole as pieces
are settled, so a kill at any moment leaves an old or a new one. Called again with the same plan, a run keeps the
pieces whose files still have their checksum and composes the others; as every piece follows from its request alone,
the folder ends the same. Nothing in it tells of time or of how often it was called.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import active_children, get_context, parent_process
from multiprocessing.connection import wait
from pathlib import Path
from threading import Thread
from typing import Any, Protocol

from musegen.compose.events import Piece, Progress
from musegen.compose.request import Request
from musegen.errors import FileFormatError, MusegenError, RequestError
from musegen.score.formats import to_bytes, write_bytes
from musegen.score.timing import n_bars

MANIFEST = "manifest.jsonl"
CHUNK = 16
"""Pieces composed at once by a process; what they become depends neither on it nor on the number of processes."""

PLAN_KEYS = ("file", "request", "seed", "model", "checksum")
"""What of a line says which piece it is; all else is what became of it."""


class Engine(Protocol):
    """What a batch needs of a composer."""

    name: str
    checksum: str

    def stream(self, requests: Sequence[Request], /) -> Iterator[Progress | Piece]:
        """Compose several requests at once."""


@dataclass(frozen=True)
class Job:
    """One piece of the plan: its file's name, the options as they were given, and the Request or why there is none."""

    file: str
    options: dict[str, Any]
    seed: int
    request: Request | None = None
    error: str = ""


@dataclass(frozen=True)
class Settled:
    """What has become of a job: "done", with the music's size and the file's SHA-256, or "failed" and why.

    `redraws` says how often a piece was drawn again because it copied more than it might.
    """

    job: Job
    state: str
    bars: int = 0
    notes: int = 0
    sha256: str = ""
    error: str = ""
    kept: bool = False
    redraws: int = 0

    def facts(self) -> dict[str, Any]:
        """What the manifest says of it beside the plan."""
        if self.state == "failed":
            return {"state": self.state, "error": self.error}
        again = {"redraws": self.redraws} if self.redraws else {}
        return {"state": self.state, "bars": self.bars, "notes": self.notes, "sha256": self.sha256, **again}


class Manifest:
    """The manifest of one run: which piece each line stands for, and what has become of it."""

    def __init__(self, engine: Engine, jobs: Sequence[Job], folder: Path) -> None:
        self.path = folder / MANIFEST
        self._plan = [
            {"file": job.file, "request": job.options, "seed": job.seed, "model": engine.name,
             "checksum": engine.checksum}
            for job in jobs
        ]  # fmt: skip
        self._lines = [_line({**plan, "state": "planned"}) for plan in self._plan]

    def fits(self, lines: Sequence[dict[str, Any]]) -> bool:
        """Whether the lines of an earlier run are of this plan."""
        earlier = [{key: line.get(key) for key in PLAN_KEYS} for line in lines]
        return bool(earlier == json.loads(json.dumps(self._plan)))  # as the plan comes back from a file

    def settle(self, index: int, settled: Settled) -> None:
        """Note what became of a piece; `save` puts it on the disk."""
        self._lines[index] = _line({**self._plan[index], **settled.facts()})

    def save(self) -> None:
        """Write the manifest, whole or not at all."""
        write_bytes("".join(self._lines).encode(), self.path, force=True)


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record, sort_keys=True) + "\n"


def read_manifest(folder: Path) -> list[dict[str, Any]]:
    """The lines of the folder's manifest, none if there is none; raises FileFormatError if it cannot be read."""
    path = folder / MANIFEST
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise FileFormatError(f"{path}: no manifest of a batch ({error}); choose another folder") from error
    if not all(isinstance(line, dict) for line in lines):
        raise FileFormatError(f"{path}: no manifest of a batch; choose another folder")
    return lines


def run_batch(
    engine: Engine, jobs: Sequence[Job], folder: Path, *, force: bool = False, workers: int = 1
) -> Iterator[Settled]:
    """Compose what is missing of `jobs` in `folder`, yielding each job as it is settled; `force` starts anew.

    With more than one of `workers`, processes load the engine's model by its name and compose CHUNK pieces at a time.

    Raises:
        RequestError: if the folder holds another plan, or files of these names without a manifest, and not `force`.
        FileFormatError: if the folder cannot be written to.
    """
    manifest = Manifest(engine, jobs, folder)
    lines = [] if force else read_manifest(folder)
    if lines and not manifest.fits(lines):
        raise RequestError(f"{folder} holds another batch; choose another folder, or start it anew with --force")
    if not lines and not force:
        for job in jobs:
            if (folder / job.file).exists():
                raise RequestError(f"{folder / job.file}: exists already; choose another folder or say --force")
    _sweep(folder, jobs)
    kept = {i: found for i, line in enumerate(lines) if (found := _kept(jobs[i], line, folder))}
    for i, settled in kept.items():
        manifest.settle(i, settled)
    missing = [i for i in range(len(jobs)) if i not in kept]
    if missing:
        manifest.save()
    yield from kept.values()
    chunks = [missing[start : start + CHUNK] for start in range(0, len(missing), CHUNK)]
    if workers > 1 and len(chunks) > 1:
        settling = _shared_out(engine.name, jobs, chunks, folder, min(workers, len(chunks)))
    else:
        settling = (each for chunk in chunks for each in _compose(engine, jobs, chunk, folder))
    for i, settled in settling:
        manifest.settle(i, settled)
        manifest.save()
        yield settled


def _shared_out(
    model: str, jobs: Sequence[Job], chunks: Sequence[list[int]], folder: Path, workers: int
) -> Iterator[tuple[int, Settled]]:
    """Settle chunks in processes, telling of them in their order."""
    others = active_children()
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_prepare, initargs=(model,))
    try:
        parts = [pool.submit(_settle, [jobs[i] for i in chunk], folder) for chunk in chunks]
        for chunk, part in zip(chunks, parts, strict=True):
            yield from zip(chunk, part.result(), strict=True)
    except BrokenProcessPool as error:
        raise RequestError(
            "a process that composed was ended, perhaps for want of memory: the same command goes on from here; "
            "--workers 1 needs less"
        ) from error
    finally:  # nobody waits for what was begun but is not wanted any more
        pool.shutdown(wait=False, cancel_futures=True)
        begun = [process for process in active_children() if process not in others]
        for process in begun:
            process.terminate()
        for process in begun:
            process.join()
        _sweep(folder, jobs)  # of what they were writing


_engine: Engine
"""Of a process that composes for a batch."""


def _prepare(model: str) -> None:
    """Begin a process of a batch."""
    from musegen.compose import load

    global _engine  # noqa: PLW0603  # a process loads it once
    Thread(target=_leave_with_parent, daemon=True).start()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is for the process that the user started to tell
    _engine = load(model)


def _leave_with_parent() -> None:
    """End this process when the one that began it is gone, however it went."""
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


def _settle(jobs: Sequence[Job], folder: Path) -> list[Settled]:
    """Settle a chunk in a process of its own; in the order of the jobs."""
    settled = dict(_compose(_engine, jobs, list(range(len(jobs))), folder))
    return [settled[i] for i in range(len(jobs))]


def _kept(job: Job, line: dict[str, Any], folder: Path) -> Settled | None:
    """The piece of an earlier run, if its file is still what the manifest says."""
    if line.get("state") != "done" or _sha256(folder / job.file) != line.get("sha256"):
        return None
    return Settled(job, "done", line.get("bars", 0), line.get("notes", 0), line["sha256"],
                   kept=True, redraws=line.get("redraws", 0))  # fmt: skip


def _compose(engine: Engine, jobs: Sequence[Job], chunk: list[int], folder: Path) -> Iterator[tuple[int, Settled]]:
    """Settle a chunk; where composing it fails, one by one, so that one failure is one job's."""
    ready = []
    for i in chunk:
        request = jobs[i].request
        if request is None:
            yield i, Settled(jobs[i], "failed", error=jobs[i].error)
        else:
            ready.append((i, request))
    left = dict(ready)
    try:
        for event in engine.stream([request for _, request in ready]):
            if isinstance(event, Piece):
                i = ready[event.index][0]
                yield i, _save(jobs[i], event, folder)
                del left[i]
    except MusegenError as error:
        if len(ready) == 1:
            i = ready[0][0]
            yield i, Settled(jobs[i], "failed", error=str(error))
            return
        for i in left:
            yield from _compose(engine, jobs, [i], folder)


def _save(job: Job, piece: Piece, folder: Path) -> Settled:
    score = piece.score
    data = to_bytes(score)
    write_bytes(data, folder / job.file, force=True)
    return Settled(job, "done", n_bars(score), score.n_notes, hashlib.sha256(data).hexdigest(),
                   redraws=piece.redraws)  # fmt: skip


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _sweep(folder: Path, jobs: Sequence[Job]) -> None:
    """Remove what a killed run left half written: `.NAME.xxxxxxxx.tmp` for a NAME of ours."""
    ours = {MANIFEST, *(job.file for job in jobs)}
    for litter in folder.glob(".*.tmp"):
        if litter.name[1:].rsplit(".", 2)[0] in ours:
            litter.unlink(missing_ok=True)
