"""The time of a token and of a bar over a piece of 256 bars, by eighths."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import numpy as np

from musegen.compose import Request, load

from .common import Figures, markdown
from .composing import PLAIN


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say what it can be told."""
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--style", default="folk")


def measure(options: argparse.Namespace) -> Figures:
    """Milliseconds a token and a bar."""
    composer = load("transformer", threads=options.threads)
    times, counts = [], []
    last = time.perf_counter()
    request = Request(bars=256, style=options.style, meter=(4, 4), seed=1, sampling=PLAIN)
    rows = [composer._begin(request, 0)]  # type: ignore[attr-defined]  # noqa: SLF001  # to see its tokens
    before = len(rows[0].ids)
    for _ in composer._write(rows):  # type: ignore[attr-defined]  # noqa: SLF001
        now = time.perf_counter()
        times.append(now - last)
        counts.append(len(rows[0].ids) - before)
        last, before = now, len(rows[0].ids)
    eighths = np.array_split(np.arange(len(times)), 8)
    return {
        "bars": 256,
        "ms_per_token": [1000 * sum(times[i] for i in part) / max(1, sum(counts[i] for i in part)) for part in eighths],
        "tokens": [sum(counts[i] for i in part) for part in eighths],
        "ms_per_bar": [1000 * sum(times[i] for i in part) / len(part) for part in eighths],
    }


def table(result: Figures) -> Iterator[str]:
    """A line an eighth."""
    columns = zip(result["tokens"], result["ms_per_token"], result["ms_per_bar"], strict=True)
    lines = [
        [f"{32 * i + 1} to {32 * i + 32}", f"{tokens:,}", f"{each:.2f}", f"{bar:.1f}"]
        for i, (tokens, each, bar) in enumerate(columns)
    ]
    yield from markdown(["bars", "tokens", "ms a token", "ms a bar"], lines)
