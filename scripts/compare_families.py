"""The families of models side by side: the same data, about the same size, the same time to train.

    python scripts/compare_families.py shards --reference data/folk --run runs/families --budget 6m --seeds 3

For each family and seed: train, measure held-out likelihood, write songs, hold them against real ones. Every run
leaves its figures in RUN/FAMILY-SEED/result.json, so a killed run goes on from there, and a family that comes later
is one more entry of FAMILIES. Prints the table in Markdown; --json and --markdown write it to files.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from musegen.compose import Composer, Request
from musegen.compose.autoregressive import AutoregressiveComposer
from musegen.corpus.manifest import read_manifest
from musegen.corpus.shards import Split, load_info, load_split
from musegen.engine import decoder
from musegen.engine.history import HistoryModel
from musegen.errors import MusegenError, RequestError
from musegen.evaluate import compare, originality_index
from musegen.evaluate.compare import MIN_PIECES
from musegen.evaluate.features import FeatureTable, measure_files, measure_scores
from musegen.evaluate.likelihood import Scorer, evaluate
from musegen.evaluate.originality import longest_passage
from musegen.evaluate.structure import METRICS as STRUCTURE
from musegen.models import Dit, preset, weights
from musegen.score.model import Score
from musegen.tokens import Remi
from musegen.train.config import TrainConfig, parse_seconds
from musegen.train.held_out import markov
from musegen.train.objective import scorer
from musegen.train.ship import styles_of
from musegen.train.state import STATE_FILE, averaged, load_state, start
from musegen.train.trainer import train

CONTEXT = 512
RESULT = "result.json"


@dataclass(frozen=True)
class Task:
    """What every family is given."""

    shards: Path
    run: Path
    seed: int
    budget: float


@dataclass(frozen=True)
class Trained:
    """What a family gives back; `scorer` is None where a likelihood is not defined."""

    parameters: int
    seconds: float
    composer: Composer
    scorer: Scorer | None


@dataclass(frozen=True)
class Result:
    """The figures of one run; NaN where one is not defined."""

    family: str
    seed: int
    parameters: int
    train_seconds: float
    nats_per_note: float
    auc: float
    auc_real: float
    frechet: float
    frechet_real: float
    overlap: float
    overlap_real: float
    longest_copy: float
    longest_copy_most: float
    loop_rate: float
    seconds_per_song: float


def network(name: str, **shape: Any) -> Callable[[Task], Trained]:
    """A family that the trainer trains."""

    def build(task: Task) -> Trained:
        tokenizer = Remi()
        if (task.run / STATE_FILE).exists():
            run = load_state(task.run)
        else:
            config = preset(name, tokenizer.vocabulary.size, tokenizer.attribute_sizes, **shape)
            options = TrainConfig(
                budget_seconds=task.budget, context=CONTEXT, batch_tokens=2048, lr=1.5e-3, seed=task.seed
            )
            run = start(config, options)
        learned, valid = (load_split(task.shards, s, tokenizer.vocabulary.fingerprint) for s in ("train", "valid"))
        train(run, learned, valid, task.run, report=lambda line: print(line, file=sys.stderr, flush=True))
        model = averaged(run)
        assert not isinstance(model, Dit)
        styles = sorted({style for s in load_info(task.shards)["sources"].values() for style in styles_of(s)})
        composer = AutoregressiveComposer(
            name, decoder(model.config, weights(model)), model.config.context, {"styles": styles}, ""
        )
        return Trained(model.n_parameters, run.seconds, composer, scorer(model))

    return build


def counted(order: int) -> Callable[[Task], Trained]:
    """A Markov model: its parameters are the n-grams that it has counted; its seed matters to its songs alone."""

    def build(task: Task) -> Trained:
        began = time.monotonic()
        model = markov(task.shards, order, CONTEXT)
        seconds = time.monotonic() - began
        composer = AutoregressiveComposer("markov", HistoryModel(model.distribution, order), CONTEXT, {}, "")
        return Trained(model.n_counts, seconds, composer, model)

    return build


FAMILIES: dict[str, Callable[[Task], Trained]] = {
    "transformer": network("small", d_model=192, n_layer=4, n_head=3, dropout=0.05),
    "lstm": network("lstm", d_model=192, d_ff=320, dropout=0.05),
    "markov": counted(5),
}
"""Two networks of two million parameters, and what needs no training."""


def songs(composer: Composer, style: str, count: int, bars: int, seed: int) -> tuple[dict[str, Score], float]:
    """`count` songs one by one, as a user asks for them, and the seconds for one, the median."""
    scores, seconds = {}, []
    for i in range(count):
        began = time.monotonic()
        scores[f"{seed}-{i}"] = composer.compose([Request(bars=bars, style=style, seed=1000 * seed + i)])[0]
        seconds.append(time.monotonic() - began)
    return scores, statistics.median(seconds)


def measured(family: str, task: Task, test: Split, reference: FeatureTable, options: argparse.Namespace) -> Result:
    """Train a family and measure it."""
    trained = FAMILIES[family](task)
    nats = float("nan")
    if trained.scorer is not None:
        nats = evaluate(trained.scorer, test, CONTEXT)["all"].nats_per_note
    style = styles_of(load_info(task.shards)["sources"][options.reference.name])[0]
    scores, seconds = songs(trained.composer, style, options.count, options.bars, task.seed)
    c = compare.evaluate(measure_scores(scores, bars=options.bars), reference, seed=0)
    index = originality_index.load(options.index)
    copies = [longest_passage(index, score).notes for score in scores.values()]
    overlaps = [f.overlap for f in c.features if not math.isnan(f.overlap.value)]
    loops = [STRUCTURE["loop_rate"](score) for score in scores.values()]
    return Result(
        family, task.seed, trained.parameters, round(trained.seconds), nats,
        c.auc.value, c.auc.real, c.frechet.value, c.frechet.real,
        statistics.fmean(o.value for o in overlaps), statistics.fmean(o.real for o in overlaps),
        statistics.median(copies), max(copies), statistics.fmean(loops), seconds,
    )  # fmt: skip


def figures(result: Result) -> dict[str, Any]:
    """A result as JSON has it, which knows no NaN."""
    return {
        key: None if isinstance(value, float) and math.isnan(value) else value for key, value in asdict(result).items()
    }


COLUMNS: dict[str, tuple[str, str]] = {
    "parameters": ("parameters", "{:,.0f}"),
    "training, s": ("train_seconds", "{:.0f}"),
    "held-out nats a note": ("nats_per_note", "{:.3f}"),
    "AUC": ("auc", "{:.2f}"),
    "Fréchet": ("frechet", "{:.2f}"),
    "mean overlap": ("overlap", "{:.2f}"),
    "longest copy, median (notes)": ("longest_copy", "{:.0f}"),
    "longest copy, worst": ("longest_copy_most", "{:.0f}"),
    "loop rate": ("loop_rate", "{:.3f}"),
    "seconds a song": ("seconds_per_song", "{:.2f}"),
}
"""Heading -> the field of Result, and how it is written."""


def cell(values: Sequence[float], form: str) -> str:
    """The mean, and the range over the seeds where there is one."""
    if any(map(math.isnan, values)):
        return "undefined"
    low, high = form.format(min(values)), form.format(max(values))
    mean = form.format(statistics.fmean(values))
    return mean if low == high else f"{mean} ({low} to {high})"


def markdown(results: Sequence[Result]) -> str:
    """A row a family, mean and range over its seeds, and the real pieces against each other below."""
    lines = [f"| family | seeds | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 2) + "|"]
    for family in dict.fromkeys(r.family for r in results):
        rows = [asdict(r) for r in results if r.family == family]
        cells = [cell([row[name] for row in rows], form) for name, form in COLUMNS.values()]
        lines.append(f"| {family} | {len(rows)} | {' | '.join(cells)} |")
    real = {"auc": "auc_real", "frechet": "frechet_real", "overlap": "overlap_real"}
    cells = [
        cell([asdict(r)[real[name]] for r in results], form) if name in real else "" for name, form in COLUMNS.values()
    ]
    lines.append(f"| real against real | | {' | '.join(cells)} |")
    return "\n".join(lines)


def reference_table(folder: Path, bars: int) -> FeatureTable:
    """The features of the folder's valid and test pieces."""
    rows = [row for row in read_manifest(folder) if row.split != "train" and "duplicate" not in row.tags]
    return measure_files([row.file for row in rows], bars=bars, groups={str(row.file): row.title for row in rows})


def check(options: argparse.Namespace) -> list[str]:
    """The families asked for, if all that can be said beforehand is right."""
    families: list[str] = options.families.split(",")
    for family in families:
        if family not in FAMILIES:
            raise RequestError(f"unknown family {family!r}; there are {', '.join(FAMILIES)}")
    if options.count < MIN_PIECES:
        raise RequestError(f"--count {options.count}: a comparison needs {MIN_PIECES} songs at least")
    if options.reference.name not in load_info(options.shards)["sources"]:
        raise RequestError(f"{options.reference}: not a source of {options.shards}; build the shards with it")
    parse_seconds(options.budget)
    return families


def results_of(options: argparse.Namespace) -> list[Result]:
    """The figures of every family and seed, those read that are there already.

    Raises:
        RequestError: for an unknown family, or too few songs or real pieces to compare, before anything is trained.
    """
    families = check(options)
    reference = reference_table(options.reference, options.bars)
    if len(reference) < MIN_PIECES:
        raise RequestError(f"{options.reference}: {len(reference)} pieces of valid and test; {MIN_PIECES} are needed")
    test = load_split(options.shards, "test", Remi().vocabulary.fingerprint)
    results = []
    for family in families:
        for seed in range(options.seeds):
            folder = options.run / f"{family}-{seed}"
            if (folder / RESULT).is_file():
                facts: Mapping[str, Any] = json.loads((folder / RESULT).read_text(encoding="utf-8"))
                results.append(Result(**facts))
                continue
            folder.mkdir(parents=True, exist_ok=True)
            task = Task(options.shards, folder, seed, parse_seconds(options.budget))
            result = measured(family, task, test, reference, options)
            (folder / RESULT).write_text(json.dumps(asdict(result)), encoding="utf-8")
            results.append(result)
            print(result, file=sys.stderr, flush=True)
    return results


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("shards", type=Path, help="folder that musegen corpus build wrote")
    parser.add_argument("--reference", type=Path, required=True, help="folder with a manifest.csv: the real songs")
    parser.add_argument("--run", type=Path, required=True, help="folder for runs and figures; goes on from there")
    parser.add_argument("--families", default=",".join(FAMILIES), help=f"default {','.join(FAMILIES)}")
    parser.add_argument("--budget", default="6m", help="time to train each network (default 6m)")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--count", type=int, default=150, help="songs of each run (default 150)")
    parser.add_argument("--bars", type=int, default=16)
    parser.add_argument("--index", type=Path, help="originality index of the shards (default: the shipped one)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the figures of each run here")
    parser.add_argument("--markdown", type=Path, help="write the table here too")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Train, measure, print."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    try:
        results = results_of(options)
    except MusegenError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    table = markdown(results)
    print(table)
    if options.json:
        options.json.write_text(json.dumps([figures(r) for r in results], indent=1) + "\n", encoding="utf-8")
    if options.markdown:
        options.markdown.write_text(table + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
