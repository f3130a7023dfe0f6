"""A batch killed and called again ends as if nothing had happened."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path

import pytest

from musegen.compose import Piece, Progress, Request, load
from musegen.compose.batch import CHUNK, MANIFEST, Job, read_manifest, run_batch
from musegen.errors import FileFormatError, RequestError
from musegen.score.formats.atomic import temporary_name
from musegen.score.model import Score, Track


class Fake:
    """Composes one note whose pitch is the seed; refuses seed 13."""

    name, checksum = "fake", "f" * 12

    def __init__(self) -> None:
        self.composed: list[int] = []

    def stream(self, requests: Sequence[Request], /) -> Iterator[Progress | Piece]:
        for i, request in enumerate(requests):
            if request.seed == 13:
                raise RequestError("thirteen is unlucky")
            self.composed.append(request.seed)
            yield Piece(i, Score(480, (Track([(0, request.seed, 480, 80)]),)))


def jobs(seeds: Sequence[int]) -> list[Job]:
    return [Job(f"song-{i:03d}.mid", {"bars": 1}, seed, Request(bars=1, seed=seed)) for i, seed in enumerate(seeds)]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_what_is_there_is_kept_and_what_is_missing_is_made(tmp_path: Path) -> None:
    plan = jobs(range(20, 40))
    first = list(run_batch(Fake(), plan, tmp_path / "a"))
    assert [r.state for r in first] == ["done"] * 20
    engine = Fake()
    for n, _ in enumerate(run_batch(engine, plan, tmp_path / "b")):
        if n == 10:
            break
    (tmp_path / "b" / "song-002.mid").write_bytes(b"spoilt")
    temporary_name(tmp_path / "b" / "song-011.mid").write_bytes(b"litter")
    temporary_name(tmp_path / "b" / MANIFEST).write_bytes(b"litter")
    again = Fake()
    assert len(list(run_batch(again, plan, tmp_path / "b"))) == 20
    assert 22 in again.composed and 21 not in again.composed
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_row_that_fails_is_recorded_and_the_others_go_on(tmp_path: Path) -> None:
    plan = [*jobs([12, 13, 14]), replace(jobs([15])[0], file="x.mid", request=None, error="no such key")]
    states = {r.job.file: (r.state, r.error) for r in run_batch(Fake(), plan, tmp_path)}
    assert states["song-001.mid"] == ("failed", "thirteen is unlucky") and states["x.mid"] == ("failed", "no such key")
    assert states["song-002.mid"][0] == states["song-000.mid"][0] == "done"
    lines = read_manifest(tmp_path)
    assert [(line["seed"], line["state"]) for line in lines] == [
        (12, "done"), (13, "failed"), (14, "done"), (15, "failed"),
    ]  # fmt: skip
    assert lines[3]["error"] == "no such key" and not (tmp_path / "song-001.mid").exists()
    again = Fake()
    assert [r.kept for r in run_batch(again, plan, tmp_path)].count(True) == 2 and again.composed == []


def test_the_manifest_says_what_each_file_is(tmp_path: Path) -> None:
    list(run_batch(Fake(), jobs([7]), tmp_path))
    data = (tmp_path / "song-000.mid").read_bytes()
    assert read_manifest(tmp_path) == [
        {"file": "song-000.mid", "request": {"bars": 1}, "seed": 7, "model": "fake", "checksum": "f" * 12,
         "state": "done", "bars": 1, "notes": 1, "sha256": hashlib.sha256(data).hexdigest()}
    ]  # fmt: skip


def test_the_whole_plan_stands_before_the_first_piece(tmp_path: Path) -> None:
    """Else a kill between the first file and the first line would leave a folder that nobody may touch."""

    class Killed(Fake):
        def stream(self, requests: Sequence[Request], /) -> Iterator[Progress | Piece]:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(run_batch(Killed(), jobs([1, 2]), tmp_path))
    assert [line["state"] for line in read_manifest(tmp_path)] == ["planned"] * 2
    (tmp_path / "song-000.mid").write_bytes(b"written, but not yet noted")
    assert [r.kept for r in run_batch(Fake(), jobs([1, 2]), tmp_path)] == [False, False]


@pytest.mark.parametrize("text", ["{", "[]\n", '"x"\n'])
def test_a_strange_manifest_is_left_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(FileFormatError, match="no manifest of a batch"):
        list(run_batch(Fake(), jobs([1]), tmp_path))
    assert contents(tmp_path) == {MANIFEST: text.encode()}


def test_starting_anew_keeps_nothing(tmp_path: Path) -> None:
    list(run_batch(Fake(), jobs([1, 2]), tmp_path))
    again = Fake()
    list(run_batch(again, jobs([1, 2]), tmp_path, force=True))
    assert again.composed == [1, 2]


def test_another_plan_does_not_touch_the_folder(tmp_path: Path) -> None:
    list(run_batch(Fake(), jobs([1, 2]), tmp_path))
    before = contents(tmp_path)
    with pytest.raises(RequestError, match="holds another batch"):
        list(run_batch(Fake(), jobs([3, 4]), tmp_path))
    assert contents(tmp_path) == before
    assert len(list(run_batch(Fake(), jobs([3, 4]), tmp_path, force=True))) == 2
    (tmp_path / MANIFEST).unlink()
    with pytest.raises(RequestError, match="exists already"):
        list(run_batch(Fake(), jobs([3, 4]), tmp_path))


def test_killed_and_called_again_on_the_real_command(tmp_path: Path) -> None:
    """Killed with no piece done yet and at two later moments; the seed is the one the first call drew."""
    call = [sys.executable, "-m", "musegen", "--quiet", "batch", "--count", "24", "-m", "tiny-random", "--bars", "1",
            "--meter", "2/4", "--threads", "1"]  # fmt: skip
    manifest = tmp_path / "b" / MANIFEST

    def done() -> int:
        return manifest.read_text().count('"done"') if manifest.exists() else -1

    reached = []
    for more in (1, 2, 4):
        before, end = done(), time.monotonic() + 60
        with subprocess.Popen([*call, "-o", "b"], cwd=tmp_path, stdout=subprocess.DEVNULL) as ran:
            while done() < before + more and ran.poll() is None and time.monotonic() < end:
                time.sleep(0.005)
            ran.send_signal(signal.SIGKILL)
        reached.append(done())
    assert 0 <= reached[0] < reached[-1] < 24, reached
    seed = str(json.loads(manifest.read_text().splitlines()[0])["seed"])
    subprocess.run([*call, "-o", "b"], cwd=tmp_path, check=True, capture_output=True)
    subprocess.run([*call, "-o", "a", "--seed", seed], cwd=tmp_path, check=True, capture_output=True)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert len(contents(tmp_path / "a")) == 25 and done() == 24


def test_processes_write_the_same_folder(tmp_path: Path) -> None:
    engine = load("tiny-random")
    request = Request(bars=1, meter=(2, 4), style="folk")
    plan = [
        Job(f"song-{i:03d}.mid", {}, i, replace(request, seed=i) if i != 5 else None, error="no such thing" * (i == 5))
        for i in range(2 * CHUNK + 3)
    ]
    alone = list(run_batch(engine, plan, tmp_path / "alone"))
    shared = list(run_batch(engine, plan, tmp_path / "shared", workers=2))
    assert shared == sorted(alone, key=lambda r: r.job.seed) and [r.state for r in shared].count("failed") == 1
    assert contents(tmp_path / "shared") == contents(tmp_path / "alone")
    assert not active_children()


def test_a_process_that_is_ended_is_told_and_the_run_goes_on(tmp_path: Path) -> None:
    engine = load("tiny-random")
    plan = [Job(f"{i}.mid", {}, i, Request(bars=1, meter=(2, 4), seed=i)) for i in range(4 * CHUNK)]
    running = run_batch(engine, plan, tmp_path, workers=2)
    next(running)
    for process in active_children():
        process.kill()
    with pytest.raises(RequestError, match="goes on from here"):
        list(running)
    assert 1 <= len(list(tmp_path.glob("*.mid"))) < len(plan)
    assert [r.state for r in run_batch(engine, plan, tmp_path)] == ["done"] * len(plan)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="asks the kernel of Linux who is whose child")
def test_the_processes_of_a_killed_batch_leave_too(tmp_path: Path) -> None:
    call = ["batch", "--count", "2000", "-m", "tiny-random", "--bars", "2", "--seed", "1", "--workers", "2", "-o", "a"]
    with subprocess.Popen([sys.executable, "-m", "musegen", *call], cwd=tmp_path, stdout=subprocess.PIPE) as ran:
        assert ran.stdout is not None
        ran.stdout.readline()
        children = [int(pid) for pid in Path(f"/proc/{ran.pid}/task/{ran.pid}/children").read_text().split()]
        ran.send_signal(signal.SIGKILL)
    assert len(children) >= 2
    until = time.monotonic() + 20
    while any(map(is_alive, children)) and time.monotonic() < until:
        time.sleep(0.1)
    assert not any(map(is_alive, children))


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
