"""A batch killed and called again ends as if nothing had happened."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from musegen.compose import Piece, Progress, Request
from musegen.compose.batch import MANIFEST, Job, read_manifest, run_batch
from musegen.errors import RequestError
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
    first = list(run_batch(Fake(), plan, tmp_path / "a", 20))
    assert [r.state for r in first] == ["done"] * 20
    engine = Fake()
    for n, _ in enumerate(run_batch(engine, plan, tmp_path / "b", 20)):
        if n == 10:
            break
    (tmp_path / "b" / "song-002.mid").write_bytes(b"spoilt")
    (tmp_path / "b" / ".song-011.mid.x.tmp").write_bytes(b"litter")
    again = Fake()
    assert len(list(run_batch(again, plan, tmp_path / "b", 20))) == 20
    assert 22 in again.composed and 21 not in again.composed
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_row_that_fails_is_recorded_and_the_others_go_on(tmp_path: Path) -> None:
    plan = [*jobs([12, 13, 14]), replace(jobs([15])[0], file="x.mid", request=None, error="no such key")]
    states = {r.job.file: (r.state, r.error) for r in run_batch(Fake(), plan, tmp_path, 12)}
    assert states["song-001.mid"] == ("failed", "thirteen is unlucky") and states["x.mid"] == ("failed", "no such key")
    assert states["song-002.mid"][0] == states["song-000.mid"][0] == "done"
    lines = read_manifest(tmp_path)
    assert [line.get("state") for line in lines] == [None, "done", "failed", "done", "failed"]
    assert lines[0]["pieces"] == 4 and not (tmp_path / "song-001.mid").exists()


def test_another_plan_does_not_touch_the_folder(tmp_path: Path) -> None:
    list(run_batch(Fake(), jobs([1, 2]), tmp_path, 1))
    before = contents(tmp_path)
    with pytest.raises(RequestError, match="holds another batch"):
        list(run_batch(Fake(), jobs([3, 4]), tmp_path, 3))
    assert contents(tmp_path) == before
    assert len(list(run_batch(Fake(), jobs([3, 4]), tmp_path, 3, force=True))) == 2
    (tmp_path / MANIFEST).unlink()
    with pytest.raises(RequestError, match="exists already"):
        list(run_batch(Fake(), jobs([3, 4]), tmp_path, 3))


def test_killed_and_called_again_on_the_real_command(tmp_path: Path) -> None:
    call = [sys.executable, "-m", "musegen", "batch", "--count", "24", "-m", "tiny-random", "--bars", "1",
            "--meter", "2/4", "--seed", "5", "--threads", "1", "-o"]  # fmt: skip
    for _ in range(2):
        with subprocess.Popen([*call, "b"], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as ran:
            manifest = tmp_path / "b" / MANIFEST
            size, end = manifest.stat().st_size if manifest.exists() else 0, time.monotonic() + 60
            while time.monotonic() < end and ran.poll() is None:
                if manifest.exists() and manifest.stat().st_size > size:
                    break
                time.sleep(0.02)
            ran.send_signal(signal.SIGKILL)
    subprocess.run([*call, "b"], cwd=tmp_path, check=True, capture_output=True)
    subprocess.run([*call, "a"], cwd=tmp_path, check=True, capture_output=True)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert len(contents(tmp_path / "a")) == 25
    assert json.loads((tmp_path / "a" / MANIFEST).read_text().splitlines()[1])["state"] == "done"
