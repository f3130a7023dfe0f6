"""Are clips told from real ones: two-sample AUC and distances a style, beside the transformer; and what goes wrong.

The classifier, its features and the distances are those of `musegen evaluate compare`. Every generated clip is told
the frame of a held-out one: style, metre, mode, instruments, and which bars of how long a piece these are. The
transformer writes that piece (of 32 bars at most), in its defaults and from C, and its bars go through the same grid.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.common import Figures, machine, markdown

from musegen import checkpoint
from musegen.compose import load
from musegen.compose.denoising import Recipe
from musegen.errors import RequestError
from musegen.evaluate.compare import Comparison, evaluate
from musegen.evaluate.features import FeatureTable
from musegen.score.model import Score

from .clips import BARS, STYLES, Frame, Real, drawn, real_clips, taken, written
from .figures import counts, densities, features, fullness, percent, plain

TOLD = 4
"""Features that the classifier leans on most, named."""
SOLID = 2.0
"""A clip is solid that sounds so many times as full as the fullest real one of its style."""
USUAL = (1, 99)
"""Percentiles of the real clips' notes a bar between which a clip is as dense as they are."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say what it can be told."""
    own = Recipe()
    parser.add_argument("shards", type=Path)
    parser.add_argument("--styles", default=",".join(STYLES))
    parser.add_argument("--pieces", type=int, default=150, help="clips of each style (default 150)")
    parser.add_argument("--real", type=int, default=400, help="real clips of each style at most (default 400)")
    parser.add_argument("--real-splits", default="valid,test")
    parser.add_argument("--beside", default="transformer", help="a model of tokens; '' for none")
    parser.add_argument("--halves", type=int, default=20, help="splits of the real clips (default 20)")
    parser.add_argument("--steps", type=int, default=own.steps)
    parser.add_argument("--sampler", default=own.sampler)
    parser.add_argument("--guidance", type=float, default=own.guidance)
    parser.add_argument("--sharpness", type=float, default=own.sharpness)
    parser.add_argument("--sharpness-of-chords", type=float, default=own.sharpness_of_chords)
    parser.add_argument("--foreign", type=float, default=own.foreign)


def measure(options: argparse.Namespace) -> Figures:
    """By style and model."""
    network, card = checkpoint.load_denoiser(options.model, threads=options.threads)
    rates = card.get("rates", ())
    names = ("steps", "sampler", "guidance", "sharpness", "sharpness_of_chords", "foreign")
    recipe = Recipe(**{name: getattr(options, name) for name in names})
    writers: dict[str, Callable[[Sequence[Frame]], list[Score]]] = {
        "diffusion": lambda frames: [drawn(network, frame, recipe, rates, seed) for seed, frame in enumerate(frames)]
    }
    if options.beside:
        composer = load(options.beside)
        writers[options.beside] = lambda frames: written(composer, frames, network.config.n_parts)
    styles = options.styles.split(",")
    found = real_clips(options.shards, options.real_splits.split(","), styles, network.config)
    rows = []
    for style in styles:
        real = found[style][: options.real]
        for name, write in writers.items():
            began = time.perf_counter()
            scores = write(taken(found[style], options.pieces))
            row = {"style": style, "model": name, "seconds": (time.perf_counter() - began) / len(scores)}
            rows.append({**row, **degenerate(scores, real), **compared(scores, real, options.halves)})
            print(rows[-1], file=sys.stderr, flush=True)
        own = [clip.score for clip in real]
        rows.append({"style": style, "model": "real", **degenerate(own, real), "works": len({c.work for c in real})})
    return {"machine": machine(), "model": str(options.model), "recipe": asdict(recipe), "rows": rows}


def degenerate(scores: Sequence[Score], real: Sequence[Real]) -> dict[str, Any]:
    """What is counted of clips, and the shares of them that are not like any real one."""
    own = [clip.score for clip in real]
    low, high = np.percentile(densities(own, BARS), USUAL)
    dense = densities(scores, BARS)
    return {
        **asdict(counts(scores, BARS)),
        "solid": float((fullness(scores) > SOLID * fullness(own).max()).mean()),
        "sparser": float((dense < low).mean()),
        "denser": float((dense > high).mean()),
    }


def compared(scores: Sequence[Score], real: Sequence[Real], halves: int) -> dict[str, Any]:
    """The figures of a comparison; none where a set is too small for one."""
    made = features(scores, [f"made {i}" for i in range(len(scores))], "made", BARS)
    reference = features([clip.score for clip in real], [clip.work for clip in real], "real", BARS)
    if made is None or reference is None:
        return {"why": "no notes"}
    try:
        return figures(evaluate(made, reference, splits=halves), made)
    except RequestError as error:
        print(f"not compared: {error}", file=sys.stderr)
        return {"why": str(error)}


def figures(comparison: Comparison, made: FeatureTable) -> dict[str, Any]:
    """What docs/benchmarks/composer.md tells of a comparison."""
    overlaps = [f.overlap for f in comparison.features if not np.isnan(f.overlap.value)]
    return {
        "generated": len(made),
        "auc": asdict(comparison.auc),
        "interval": [comparison.test.low, comparison.test.high],
        "linear": comparison.logistic.value,
        "frechet": asdict(comparison.frechet),
        "overlap": float(np.mean([o.value for o in overlaps])),
        "overlap_real": float(np.mean([o.real for o in overlaps])),
        "told_by": [f.name for f in comparison.features[:TOLD]],
    }


def table(result: Figures) -> Iterator[str]:
    """Comparisons, then what goes wrong."""
    works = {row["style"]: f"{row['clips']} ({row['works']})" for row in result["rows"] if row["model"] == "real"}
    head = ["style", "model", "told by most of all", "clips", "real (works)", "AUC", "95 % interval", "AUC, real",
            "linear", "Fréchet (real)", "overlap (real)"]  # fmt: skip
    rows = [
        [row["style"], row["model"], *_comparison(row, works[row["style"]])]
        for row in result["rows"]
        if row["model"] != "real"
    ]
    yield from markdown(head, rows, words=3)
    yield ""
    shares = ("out_of_key", "fragments", "empty", "one_class", "one_chord", "solid", "sparser", "denser")
    head = ["style", "model", "clips", "notes a bar", "s a clip", "out of key", "one-step notes", "empty",
            "one pitch class", "two or three", "solid", "sparser", "denser"]  # fmt: skip
    yield from markdown(
        head,
        (
            [row["style"], row["model"], f"{row['clips']}", plain(row["notes_a_bar"], 1),
             plain(row.get("seconds", float("nan"))), *(percent(row[name]) for name in shares)]
            for row in result["rows"]
        ),
        words=2,
    )  # fmt: skip
    yield ""
    every = [row for row in result["rows"] if row["model"] == "diffusion"]
    total = sum(row["clips"] for row in every)
    wrong = sum(row["clips"] * (row["empty"] + row["one_class"] + row["solid"]) for row in every)
    yield (
        f"Of {total} clips by diffusion {wrong:.0f} are empty, of one pitch class, or solid (sounding {SOLID:g} times "
        "as full as the fullest real clip of the style). Sparser and denser: than all but one of a hundred real clips."
    )


def _comparison(row: dict[str, Any], real: str) -> list[str]:
    if "auc" not in row:
        return ["–", f"{row['clips']}", real, *["–"] * 6]
    low, high = row["interval"]
    auc, frechet = row["auc"], row["frechet"]
    return [
        ", ".join(row["told_by"]), f"{row['generated']}", real, f"**{auc['value']:.2f}**", f"{low:.2f} to {high:.2f}",
        f"{auc['real']:.2f}", f"{row['linear']:.2f}", f"{frechet['value']:.2f} ({frechet['real']:.2f})",
        f"{row['overlap']:.2f} ({row['overlap_real']:.2f})",
    ]  # fmt: skip
