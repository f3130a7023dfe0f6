"""Generated clips (left) beside real ones (right) of the same frames, as small piano rolls, to be looked at."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.common import Figures
from PIL import Image

from musegen import checkpoint
from musegen.compose.denoising import Recipe
from musegen.render import piano_roll
from musegen.score.model import Score

from .clips import BARS, STYLES, drawn, real_clips

WIDTH = 800
GAP = 12


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say what it can be told."""
    parser.add_argument("shards", type=Path)
    parser.add_argument("out", type=Path, help="the picture, a PNG file")
    parser.add_argument("--styles", default=",".join(STYLES))
    parser.add_argument("--pieces", type=int, default=5, help="of each style (default 5)")
    parser.add_argument("--real-split", default="valid")
    parser.add_argument("--first-seed", type=int, default=0)


def measure(options: argparse.Namespace) -> Figures:
    """Draw the sheet."""
    network, card = checkpoint.load_denoiser(options.model, threads=options.threads)
    styles = options.styles.split(",")
    found = real_clips(options.shards, [options.real_split], styles, network.config)
    rows: list[tuple[Image.Image, Image.Image]] = []
    for style in styles:
        for seed, clip in enumerate(found[style][: options.pieces], options.first_seed):
            made = replace(
                drawn(network, clip.frame, Recipe(), card.get("rates", ()), seed),
                title=f"generated: {style}, seed {seed}",
            )
            real = replace(clip.score, title=f"real: {style}, {clip.work}")
            rows.append((_roll(made), _roll(real)))
    _sheet(rows).save(options.out)
    return {"pictures": 2 * len(rows), "file": str(options.out)}


def _roll(score: Score) -> Image.Image:
    return piano_roll(score, width=WIDTH, bars_per_row=BARS)


def _sheet(rows: list[tuple[Image.Image, Image.Image]]) -> Image.Image:
    """The pairs below each other, in two columns where there are many."""
    half = -(-len(rows) // 2)
    columns = [rows[:half], rows[half:]]
    heights = [sum(max(a.height, b.height) + GAP for a, b in column) for column in columns]
    page = Image.new("RGB", (4 * WIDTH + 3 * GAP, max(heights)), "white")
    for number, column in enumerate(columns):
        left, top = number * 2 * (WIDTH + GAP), 0
        for a, b in column:
            page.paste(a, (left, top))
            page.paste(b, (left + WIDTH + GAP, top))
            top += max(a.height, b.height) + GAP
    return page


def table(result: Figures) -> Iterator[str]:
    """Where it is."""
    yield f"{result['pictures']} pictures in {result['file']}."
