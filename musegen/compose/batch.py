"""Many pieces into a folder, with a manifest from which an interrupted run goes on.

`manifest.jsonl` holds a first line about the plan and then a line for each piece that is settled, in the order of
the plan: its options, seed, state and the SHA-256 of its file. It is rewritten whole after every piece, so a kill at
any moment leaves an old or a new one. Called again with the same plan, a run keeps the pieces whose files still have
their checksum and composes the others; as every piece follows from its request alone, the folder ends the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from musegen.compose.autoregressive import Piece, Progress
from musegen.compose.request import Request
from musegen.errors import FileFormatError, MusegenError, RequestError
from musegen.score.formats import to_bytes, write_bytes
from musegen.score.model import Score

MANIFEST = "manifest.jsonl"
CHUNK = 8
"""Pieces composed at once; what they become does not depend on it."""


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
    """What has become of a job: "done" with the file's SHA-256, or "failed" with the reason."""

    job: Job
    state: str
    sha256: str = ""
    error: str = ""
    kept: bool = False

    def line(self) -> str:
        """The job's line in the manifest."""
        record = {
            "file": self.job.file,
            "request": self.job.options,
            "seed": self.job.seed,
            "state": self.state,
            "sha256": self.sha256,
            "error": self.error,
        }
        return json.dumps({key: value for key, value in record.items() if value != ""}, sort_keys=True)


def manifest_head(engine: Engine, jobs: Sequence[Job], base_seed: int) -> dict[str, Any]:
    """The first line: what tells one plan from another."""
    plan = json.dumps([[job.file, job.options, job.seed] for job in jobs], sort_keys=True)
    return {
        "model": engine.name,
        "checksum": engine.checksum,
        "pieces": len(jobs),
        "seed": base_seed,
        "plan": hashlib.sha256(plan.encode()).hexdigest()[:16],
    }


def read_manifest(folder: Path) -> list[dict[str, Any]]:
    """The lines of the folder's manifest, none if there is none; raises FileFormatError if it cannot be read."""
    path = folder / MANIFEST
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise FileFormatError(f"{path}: no manifest of a batch ({error}); choose another folder") from error


def run_batch(
    engine: Engine, jobs: Sequence[Job], folder: Path, base_seed: int, *, force: bool = False
) -> Iterator[Settled]:
    """Compose what is missing of `jobs` in `folder`, yielding each job as it is settled.

    Raises:
        RequestError: if the folder holds another plan, or files of these names without a manifest, and not `force`.
    """
    head = manifest_head(engine, jobs, base_seed)
    lines = read_manifest(folder)
    if lines and lines[0] != head and not force:
        raise RequestError(f"{folder} holds another batch; choose another folder, or start it anew with --force")
    if not lines and not force:
        for job in jobs:
            if (folder / job.file).exists():
                raise RequestError(f"{folder / job.file}: exists already; choose another folder or say --force")
    settled: dict[int, Settled] = {}
    if lines and lines[0] == head:
        done = {line["file"]: line.get("sha256", "") for line in lines[1:] if line.get("state") == "done"}
        for i, job in enumerate(jobs):
            if job.file in done and _sha256(folder / job.file) == done[job.file]:
                settled[i] = Settled(job, "done", done[job.file], kept=True)
    _sweep(folder, jobs)
    yield from settled.values()
    missing = [i for i in range(len(jobs)) if i not in settled]
    for start in range(0, len(missing), CHUNK):
        for i, result in _compose(engine, jobs, missing[start : start + CHUNK], folder):
            settled[i] = result
            text = "\n".join([json.dumps(head, sort_keys=True), *(settled[k].line() for k in sorted(settled))]) + "\n"
            write_bytes(text.encode(), folder / MANIFEST, force=True)
            yield result


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
                yield i, _save(jobs[i], event.score, folder)
                del left[i]
    except MusegenError as error:
        if len(left) == 1:
            i = next(iter(left))
            yield i, Settled(jobs[i], "failed", error=str(error))
            return
        for i in left:
            yield from _compose(engine, jobs, [i], folder)


def _save(job: Job, score: Score, folder: Path) -> Settled:
    data = to_bytes(score)
    write_bytes(data, folder / job.file, force=True)
    return Settled(job, "done", hashlib.sha256(data).hexdigest())


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _sweep(folder: Path, jobs: Sequence[Job]) -> None:
    """Remove what a killed run left half written."""
    for name in (*(job.file for job in jobs), MANIFEST):
        for litter in folder.glob(f".{name}.*"):
            litter.unlink(missing_ok=True)
