"""Steps against quality: samplers by steps, then schedules, churn and guidance of one recipe; a table and a plot.

Each setting writes the same clips: the same frames from the same seeds. They are held against real clips of valid
(Fréchet distance of as many, mean over draws; lower is better, the line of the real ones is what can be reached).
Seconds are of one clip at a time.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.common import Figures, machine, markdown

from musegen import checkpoint
from musegen.compose.denoising import Recipe
from musegen.diffusion import SAMPLERS
from musegen.evaluate.features import FeatureTable
from musegen.models import Dit
from musegen.score.model import Score

from .clips import BARS, STYLES, Frame, drawn, real_clips, taken
from .figures import counts, distance, distance_of_real, features, percent, plain
from .plot import draw

SCHEDULES = "measured,log_uniform,karras,linear,cosine"
LONG = 1000
"""Steps of the longest run, of few clips."""


@dataclass(frozen=True)
class Setting:
    """A row: a recipe, and how many clips of each style it writes."""

    part: str
    recipe: Recipe
    pieces: int


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say what it can be told."""
    own = Recipe()
    parser.add_argument("shards", type=Path)
    parser.add_argument("--styles", default=",".join(STYLES))
    parser.add_argument("--pieces", type=int, default=8, help="clips of each style (default 8)")
    parser.add_argument("--samplers", default=",".join(SAMPLERS), help="'' leaves a part out, here and below")
    parser.add_argument("--steps", default="4,8,16,32,100")
    parser.add_argument("--long", default="ddpm", help=f"samplers that run {LONG} steps as well")
    parser.add_argument("--long-pieces", type=int, default=1, help="clips of each style they write (default 1)")
    parser.add_argument("--schedules", default=SCHEDULES)
    parser.add_argument("--churns", default="0,0.1,0.2,0.3")
    parser.add_argument("--guidances", default="1,1.5,2,3")
    parser.add_argument("--base", default=own.sampler, help=f"the sampler of the last three (default {own.sampler})")
    parser.add_argument("--base-steps", type=int, default=own.steps, help=f"its steps (default {own.steps})")
    parser.add_argument("--real-split", default="valid")
    parser.add_argument("--plot", type=Path, help="a PNG of the distance over the steps")


def settings(options: argparse.Namespace) -> Iterator[Setting]:
    """What is to be tried."""
    base, few = replace(Recipe(), sampler=options.base, steps=options.base_steps), options.pieces
    for name in _words(options.samplers):
        for steps in _words(options.steps):
            yield Setting("sampler", replace(base, sampler=name, steps=int(steps)), few)
    for name in _words(options.long):
        yield Setting("sampler", replace(base, sampler=name, steps=LONG), options.long_pieces)
    for schedule in _words(options.schedules):
        yield Setting("schedule", replace(base, schedule=schedule), few)
    for churn in _words(options.churns):
        yield Setting("churn", replace(base, churn=float(churn)), few)
    for guidance in _words(options.guidances):
        yield Setting("guidance", replace(base, guidance=float(guidance)), few)


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def measure(options: argparse.Namespace) -> Figures:
    """A row a setting; the plot with them."""
    network, card = checkpoint.load_denoiser(options.model, threads=options.threads)
    rates = card.get("rates", ())
    styles = _words(options.styles)
    real = real_clips(options.shards, [options.real_split], styles, network.config)
    few = min(len(clips) for clips in real.values())  # as many of each style, as of what is generated
    clips = [clip for style in styles for clip in real[style][:few]]
    reference = features([c.score for c in clips], [c.work for c in clips], "real", BARS)
    assert reference is not None, "real clips have notes"
    rows: list[dict[str, Any]] = []
    done: dict[tuple[Recipe, int], dict[str, Any]] = {}
    for setting in settings(options):
        what = setting.recipe, setting.pieces
        if what not in done:
            frames = [frame for style in styles for frame in taken(real[style], setting.pieces)]
            done[what] = row_of(network, setting.recipe, rates, frames, reference)
        found = done[what]
        print(setting.part, found, file=sys.stderr, flush=True)
        rows.append({"part": setting.part, **found})
    pieces = min(options.pieces * len(styles), len(reference) // 2)
    result = {
        "machine": machine(), "model": str(options.model), "rows": rows, "styles": styles, "pieces": pieces,
        "real": {**asdict(counts([c.score for c in clips], BARS)), "frechet": distance_of_real(reference, pieces)},
    }  # fmt: skip
    if options.plot:
        plot(result, options.plot)
    return result


def row_of(
    network: Dit, recipe: Recipe, rates: Sequence[float], frames: Sequence[Frame], reference: FeatureTable
) -> dict[str, Any]:
    """Write the clips of a recipe and measure them."""
    calls = 0

    def count(_module: Any, inputs: tuple[Any, ...]) -> None:
        nonlocal calls
        calls += len(inputs[0])

    hook = network.register_forward_pre_hook(count)
    scores: list[Score] = []
    began = time.perf_counter()
    for seed, frame in enumerate(frames):
        scores.append(drawn(network, frame, recipe, rates, seed))
    seconds = (time.perf_counter() - began) / len(frames)
    hook.remove()
    made = features(scores, [str(i) for i in range(len(scores))], "made", BARS)
    pieces = min(len(frames), len(reference) // 2)
    own = {"calls": calls / len(frames), "seconds": seconds, "frechet": distance(made, reference, pieces)}
    return {**asdict(recipe), **own, **asdict(counts(scores, BARS))}


def plot(result: Figures, path: Path) -> None:
    """The distance over the steps, a line a sampler."""
    curves: dict[str, list[tuple[float, float]]] = {}
    for row in result["rows"]:
        if row["part"] == "sampler" and not math.isnan(row["frechet"]) and row["steps"] != LONG:
            curves.setdefault(row["sampler"], []).append((row["steps"], row["frechet"]))
    if curves:
        level = ("real", result["real"]["frechet"])
        draw(curves, path, across="steps", up="Frechet distance to real clips", level=level)


def table(result: Figures) -> Iterator[str]:
    """A line a setting, the real clips below."""
    head = ["", "sampler", "schedule", "churn", "guidance", "steps", "clips", "calls a clip", "s a clip", "Fréchet",
            "notes a bar, of real", "out of key", "one-step notes", "empty"]  # fmt: skip
    real = result["real"]
    rows = [
        [row["part"], row["sampler"], row["schedule"], f"{row['churn']:g}", f"{row['guidance']:g}", f"{row['steps']}",
         f"{row['clips']}", f"{row['calls']:.0f}", f"{row['seconds']:.2f}", plain(row["frechet"]),
         plain(row["notes_a_bar"] / real["notes_a_bar"]), *_shares(row)]
        for row in result["rows"]
    ]  # fmt: skip
    rows.append(["real", *["–"] * 5, f"{real['clips']}", "–", "–", plain(real["frechet"]), "1.00", *_shares(real)])
    yield from markdown(head, rows, words=3)
    yield ""
    yield (
        f"Clips of {BARS} bars, as many of each of {', '.join(result['styles'])}; real: {result['pieces']} of them to "
        f"as many others, {real['notes_a_bar']:.1f} notes a bar. Distances of fewer clips are greater whatever these "
        "are: compare within one number of clips. A call under guidance counts twice."
    )


def _shares(row: dict[str, Any]) -> list[str]:
    return [percent(row[name]) for name in ("out_of_key", "fragments", "empty")]
