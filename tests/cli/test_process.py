"""The command as a process of its own: pipes, signals, and how little `--help` loads."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from musegen.cli import COMMANDS
from musegen.cli.evaluate import COMMANDS as EVALUATE
from musegen.score.formats import read
from tests.cli.words import QUICK, SAMPLE

HEAVY = ("torch", "music21", "numpy", "sklearn", "symusic", "PIL")
"""What no `--help` waits for."""


def test_stdin_and_stdout_pipe(tmp_path: Path) -> None:
    shell = (
        f'set -o pipefail; m="{sys.executable} -m musegen"; $m compose {" ".join(QUICK)} --seed 4 -o - | tee a.mid'
        " | $m continue - -m tiny-random --bars 1 --seed 1 -o - | $m --json info -"
    )
    ran = subprocess.run(["bash", "-c", shell], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["bars"] == 2 and (tmp_path / "a.mid").read_bytes().startswith(b"MThd")


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    shell = f'set -o pipefail; {sys.executable} -m musegen tokenize "{SAMPLE}" | true'
    ran = subprocess.run(["bash", "-c", shell], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0 and "Error" not in ran.stderr and "Traceback" not in ran.stderr


def test_names_that_are_no_text_go_through(tmp_path: Path) -> None:
    name = os.fsdecode(b"t\xfcne.mid")
    try:
        shutil.copy(SAMPLE, tmp_path / name)
    except OSError:
        pytest.skip("this file system takes only names in UTF-8")
    ran = subprocess.run(
        [sys.executable, "-m", "musegen", "render", name], cwd=tmp_path, capture_output=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (0, b"t\xfcne.png\n"), ran.stderr


def test_help_is_quick_to_load_and_shows_examples(tmp_path: Path) -> None:
    for command in ((), *((name,) for name in COMMANDS), *(("evaluate", name) for name in EVALUATE)):
        code = (
            "import sys\nfrom musegen.cli import main\n"
            f"try:\n    main({[*command, '--help']!r})\n"
            f"except SystemExit:\n    print([m for m in {HEAVY!r} if m in sys.modules])\n"
        )
        ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert ran.stdout.endswith("[]\n"), command
        assert not command or ran.stdout.count("\n  musegen ") >= 2, f"two examples in {command}"


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_an_interrupted_command_leaves_nothing_half_written(tmp_path: Path, sent: signal.Signals, code: int) -> None:
    call = ["batch", "--count", "500", "-m", "tiny-random", "--bars", "2", "--seed", "1", "--threads", "1", "-o", "a"]
    with subprocess.Popen(
        [sys.executable, "-m", "musegen", *call], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as ran:
        assert ran.stdout is not None and ran.stderr is not None
        ran.stdout.readline()
        ran.send_signal(sent)
        assert ran.wait(30) == code
        assert len(ran.stderr.read().split(b"\n")) <= 3  # "interrupted", after the line that ^C stands in
    lines = [json.loads(line) for line in (tmp_path / "a" / "manifest.jsonl").read_text().splitlines()]
    assert len(lines) == 500
    for path in (tmp_path / "a").iterdir():
        assert path.suffix in (".mid", ".jsonl"), path
        assert path.suffix == ".jsonl" or len(read(path).tracks) == 1


def test_a_song_interrupted_was_never_there(tmp_path: Path) -> None:
    frame = ["--style", "piano", "--bars", "256", "--guidance", "3"]  # some ten seconds of work
    call = ["compose", *frame, "--seed", "1", "-o", "new/a.mid"]
    with subprocess.Popen([sys.executable, "-m", "musegen", *call], cwd=tmp_path, stderr=subprocess.PIPE) as ran:
        time.sleep(3)
        ran.terminate()
        assert ran.wait(30) == 143
    assert list(tmp_path.iterdir()) == []
