"""Bits a roll and nats a note of held-out clips, by source."""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from benchmarks.common import Figures, markdown

from musegen import checkpoint
from musegen.corpus.shards import Piece, load_split
from musegen.tokens import Remi
from musegen.tokens.vocabulary import DRUM_PROGRAM
from musegen.train.distributed import HERE
from musegen.train.examples import Source
from musegen.train.roll_objective import CLIPS_A_PIECE, LEVELS, bits_per_roll, measure_rolls


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say what it can be told."""
    parser.add_argument("shards", type=Path)
    parser.add_argument("--splits", default="valid,test")
    parser.add_argument("--pieces", type=int, help="of each source (default: all)")


def measure(options: argparse.Namespace) -> Figures:
    """Likelihoods by split and source."""
    network, _ = checkpoint.load_denoiser(options.model, threads=options.threads)
    result: Figures = {"model": str(options.model), "parameters": network.n_parameters, "splits": {}}
    for split in options.splits.split(","):
        pieces = list(load_split(options.shards, split, Remi().vocabulary.fingerprint))
        pieces = chosen(pieces, options.pieces)
        found = measure_rolls(network, pieces, HERE)
        result["splits"][split] = {
            name: {"clips": of.pieces, "notes": of.notes, "bits": bits_per_roll(of), "nats_a_note": of.nats_per_note}
            for name, of in found.items()
        }
    return result


def chosen(pieces: Sequence[Piece], count: int | None) -> list[Piece]:
    """Those with pitched tracks, of each source so many, evenly spread, or all."""
    groups: defaultdict[str, list[Piece]] = defaultdict(list)
    for piece in pieces:
        if (np.array(Source.of(piece).grid.programs) != DRUM_PROGRAM).any():
            groups[piece.source].append(piece)
    return [group[i] for group in groups.values() for i in _spread(len(group), count or len(group))]


def _spread(n: int, count: int) -> list[int]:
    return sorted({i * n // count for i in range(count)})


def table(result: Figures) -> Iterator[str]:
    """A line a source, of all splits side by side."""
    splits = result["splits"]
    names = list(dict.fromkeys(name for split in splits.values() for name in split if name != "all"))
    head = ["source", *(f"{split}: {word}" for split in splits for word in ("clips", "bits a roll", "nats a note"))]
    rows = []
    for name in [*sorted(names), "all"]:
        cells = [[f"{f['clips']:,}", f"{f['bits']:.0f}", f"{f['nats_a_note']:.3f}"] if (f := split.get(name)) else
                 ["–"] * 3 for split in splits.values()]  # fmt: skip
        rows.append([name, *(cell for part in cells for cell in part)])
    yield from markdown(head, rows)
    yield ""
    yield (
        f"At most {CLIPS_A_PIECE} clips of a piece, each as long as the model takes, at {LEVELS} levels of noise each; "
        f"all is said but the chords. {result['parameters'] / 1e6:.1f} M parameters."
    )
