"""The commands of the README do what it says, with the small random model in place of the shipped one."""

import itertools
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONSOLE = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)
PYTHON = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
WRITES_MUSIC = {"compose", "continue", "infill", "harmonize", "vary", "batch"}


def commands(text: str) -> list[list[str]]:
    """The `musegen ...` lines of all console blocks, in order, split into words."""
    lines = [line for block in CONSOLE.findall(text) for line in block.splitlines()]
    return [shlex.split(line.removeprefix("$ ")) for line in lines if line.startswith("$ musegen ")]


def outputs(words: list[str]) -> list[str]:
    return [after for word, after in itertools.pairwise(words) if word in ("-o", "--output")]


def test_the_commands_of_the_readme_run(tmp_path: Path) -> None:
    found = commands((ROOT / "README.md").read_text(encoding="utf-8"))
    assert {words[1] for words in found} >= {"compose", "continue", "batch", "render", "info"}
    shutil.copytree(ROOT / "midi_samples", tmp_path / "midi_samples")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
    for words in found:
        tiny = "tiny-diffusion" if "diffusion" in words else "tiny-random"
        model = ["-m", tiny] if words[1] in WRITES_MUSIC else []
        ran = subprocess.run(
            [sys.executable, "-m", "musegen", *words[1:], *model],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert ran.returncode == 0, f"{shlex.join(words)}\n{ran.stderr}"
        for output in outputs(words):
            assert (tmp_path / output).exists(), f"{shlex.join(words)} wrote no {output}"


def test_the_python_of_the_readme_runs(tmp_path: Path) -> None:
    [code] = PYTHON.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    code = code.replace('load("transformer")', 'load("tiny-random")')
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    assert (tmp_path / "piece.mid").exists()
