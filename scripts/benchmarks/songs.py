"""Songs a minute and peak memory of whole commands, `musegen batch` and `musegen compose -n`."""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from .common import Figures, machine, markdown, run


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say what it can be told."""
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--style", default="folk")


def measure(options: argparse.Namespace) -> Figures:
    """Seconds and memory of each call."""
    result: Figures = {"machine": machine(), "count": options.count, "style": options.style, "rows": []}
    common = ["--style", options.style, "--bars", "16", "--seed", "1"]
    calls = {
        "batch --workers 2": ["batch", "--count", str(options.count), "--workers", "2"],
        "batch --workers 1": ["batch", "--count", str(options.count), "--workers", "1"],
        "compose -n": ["compose", "-n", str(options.count)],
    }
    digests = set()
    for label, call in calls.items():
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "songs"
            before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
            began = time.perf_counter()
            folder_given = str(out) + "/" * (call[0] == "compose")
            run("-m", "musegen", "--quiet", *call, *common, "-o", folder_given)
            seconds = time.perf_counter() - began
            files = sorted(out.glob("*.mid"))
            if call[0] == "batch":
                digests.add(hash(tuple(path.read_bytes() for path in files)))
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
            result["rows"].append({"call": label, "seconds": seconds, "songs": len(files),
                                   "peak_mb": max(before, peak) / 1024})  # fmt: skip
            print(result["rows"][-1], file=sys.stderr, flush=True)
    result["same_bytes"] = len(digests) == 1
    return result


def table(result: Figures) -> Iterator[str]:
    """A line a call."""
    lines = [
        [row["call"], f"{row['songs']:,}", f"{row['seconds']:.0f}", f"{60 * row['songs'] / row['seconds']:,.0f}"]
        for row in result["rows"]
    ]
    yield from markdown(["call", "songs", "seconds", "songs a minute"], lines)
    yield f"\nThe largest process took {result['rows'][-1]['peak_mb']:.0f} MB; same bytes: {result['same_bytes']}."
