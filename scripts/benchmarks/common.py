"""What the benchmarks share: the call of one by its name, jobs in turn, the machine, the files, tables in Markdown."""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from musegen.engine.compiled import library
from musegen.score.formats import MIDI_SUFFIXES

Figures = dict[str, Any]
PEERS = ("torch", "transformers", "midigpt", "miditok", "symusic", "miditoolkit", "pretty_midi")


class Benchmark(Protocol):
    """What the module of a command has."""

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        """Say what it can be told."""

    def measure(self, options: argparse.Namespace) -> Figures:
        """Run it; the figures as JSON can hold them."""

    def table(self, result: Figures) -> Iterator[str]:
        """Lines of Markdown."""


def run_command(
    package: str,
    commands: Sequence[str],
    about: str,
    arguments: Sequence[str],
    of_all: Callable[[argparse.ArgumentParser], None] = lambda _parser: None,
) -> int:
    """Run one of the commands, each a module of the package, and print its tables; returns the exit status.

    `about` is said where no command is named; `of_all` adds the options that all of them have.
    """
    words = list(arguments)
    if not words or words[0] not in commands:
        print(about)
        return 0 if words in (["-h"], ["--help"]) else 2
    benchmark: Benchmark = import_module(f"{package}.{words[0]}")  # alone: what the others load takes memory
    parser = argparse.ArgumentParser(f"{Path(sys.argv[0]).name} {words[0]}", description=benchmark.__doc__)
    of_all(parser)
    benchmark.arguments(parser)
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args(words[1:])
    result = benchmark.measure(options)
    print("\n".join(benchmark.table(result)))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


def machine() -> Figures:
    """What the figures were made on."""
    names = [line.split(":")[1].strip() for line in _cpu_lines() if line.startswith("model name")]
    found = library()
    return {
        "cpu": names[0] if names else platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "kernel": found.variant if found else "none",
        "peers": {name: version(name) for name in PEERS if find_spec(name)},
    }


def _cpu_lines() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def midi_files(folder: Path, count: int) -> list[Path]:
    """At most so many MIDI files anywhere below a folder, drawn with a fixed seed."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in MIDI_SUFFIXES)
    return sorted(random.Random(0).sample(paths, min(count, len(paths))))


def run(*words: str) -> str:
    """What a fresh Python says."""
    done = subprocess.run([sys.executable, *words], check=True, capture_output=True, text=True)  # noqa: S603  # our own
    return done.stdout


def in_turns(jobs: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Each job's figure, `rounds` times, all jobs in every round."""
    found: dict[str, list[float]] = {name: [] for name in jobs}
    for number in range(rounds):
        for name, job in jobs.items():
            found[name].append(job())
            print(f"round {number + 1}: {name}: {found[name][-1]:.4g}", file=sys.stderr, flush=True)
    return found


def markdown(head: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1) -> Iterator[str]:
    """A table whose first `words` columns are words, the others numbers."""
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * words + "---:|" * (len(head) - words)
    for row in rows:
        yield f"| {' | '.join(row)} |"
