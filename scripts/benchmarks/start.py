"""What a call of `musegen compose --bars 8` takes, by parts, beside calls that do less."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator

from .common import Figures, in_turns, machine, markdown, run

PARTS = """
import time; t = [time.perf_counter()]
from musegen.compose import Request, load; t.append(time.perf_counter())
composer = load("transformer"); t.append(time.perf_counter())
[score] = composer.compose([Request(bars=8, style="folk", seed=1)]); t.append(time.perf_counter())
from musegen.score.formats import to_bytes; to_bytes(score); t.append(time.perf_counter())
print(*(b - a for a, b in zip(t, t[1:])))
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say what it can be told."""
    parser.add_argument("--rounds", type=int, default=3)


def measure(options: argparse.Namespace) -> Figures:
    """Seconds of whole calls, and of their parts in a fresh process."""

    def call(*words: str) -> float:
        began = time.perf_counter()
        run(*words)
        return time.perf_counter() - began

    with tempfile.TemporaryDirectory() as folder:
        frame = ["--style", "folk", "--bars", "8", "--seed", "1"]
        song = ["-m", "musegen", "compose", *frame, "--force", "-o", f"{folder}/x.mid"]
        jobs = {
            "python -c pass": lambda: call("-c", "pass"),
            "musegen --help": lambda: call("-m", "musegen", "--help"),
            "musegen compose --bars 8": lambda: call(*song),
        }
        calls = in_turns(jobs, options.rounds)
        parts = [[float(word) for word in run("-c", PARTS).split()] for _ in range(options.rounds)]
    named = dict(zip(("imports", "load", "compose", "write"), map(list, zip(*parts, strict=True)), strict=True))
    return {"machine": machine(), "seconds": calls, "parts": named}


def table(result: Figures) -> Iterator[str]:
    """A line a call, then a line a part."""
    every = {**result["seconds"], **{f"of compose: {name}": values for name, values in result["parts"].items()}}
    lines = [[name, f"{statistics.median(values):.3f}"] for name, values in every.items()]
    yield from markdown(["call", "seconds"], lines)
