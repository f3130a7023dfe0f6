"""Real against real: what the distances between sets give for random halves of a folder's own pieces.

python scripts/distances_report.py FOLDER... [--bars 16] [--least 100]

Each folder holds a manifest.csv; its valid and test pieces are taken, or all where those are fewer than --least.
Prints a table in Markdown. Needs scikit-learn.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Sequence
from pathlib import Path

from musegen.corpus.manifest import Row, read_manifest
from musegen.evaluate.compare import real_against_real
from musegen.evaluate.features import measure_files

MOST = 450
"""Pieces that are enough: every k-th of what a larger folder holds."""


def rows_of(folder: Path, least: int) -> tuple[list[Row], str]:
    """The pieces to take and what they are."""
    rows = [row for row in read_manifest(folder) if "duplicate" not in row.tags]
    held_out = [row for row in rows if row.split != "train"]
    taken, word = (held_out, "valid, test") if len(held_out) >= least else (rows, "all")
    every = -(-len(taken) // MOST)
    return taken[::every], word if every == 1 else f"{word}, 1 in {every}"


def line(folder: Path, bars: int, least: int) -> str:
    """One row of the table."""
    rows, word = rows_of(folder, least)
    groups = {str(row.file): row.title for row in rows if row.title}
    table = measure_files([row.file for row in rows], bars=bars, groups=groups)
    real = real_against_real(table)
    cells = [spread(values) for values in (real.auc, real.logistic, real.frechet)]
    return f"| {folder.name} | {word} | {len(table)} | {len(table.skipped)} | {' | '.join(cells)} | {real.pieces} |"


def spread(values: Sequence[float]) -> str:
    """Mean and range of the splits."""
    return f"{statistics.fmean(values):.3f} ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--bars", type=int, default=16)
    parser.add_argument("--least", type=int, default=100)
    options = parser.parse_args()
    print("| source | pieces of | pieces | left out | AUC, forest | AUC, logistic | Fréchet | pieces a side |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    for folder in options.folders:
        print(line(folder, options.bars, options.least), flush=True)


if __name__ == "__main__":
    main()
