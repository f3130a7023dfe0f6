"""Bars filled in, continued and harmonized in held-out pieces: what was known stands, and how the seams are.

Of each piece the first 20 bars of one metre. Filled in: bars 9 to 12. Continued: after bar 12. Harmonized: the highest
track of 12 bars stands alone. A seam is a bar line between given and new; of the two bars beside it the onsets a bar,
the mean pitches and the pitch classes are compared, and those of the true piece at the same bar line.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.common import Figures, machine, markdown

from musegen.compose import Composer, Request, load
from musegen.compose.request import STYLE_GUIDANCE
from musegen.decoding.filters import SamplingOptions
from musegen.errors import RequestError
from musegen.evaluate.metric import mean
from musegen.evaluate.pitch import in_key_rate
from musegen.evaluate.texture import consonance_rate
from musegen.score.model import Score
from musegen.score.ops import slice_bars

from .figures import percent, plain
from .pieces import FIRST, LAST, TOTAL, Known, given, highest, known_pieces, seam

USES = ("infill", "continue", "harmonize")
LINES = {"infill": {"into the new bars": FIRST, "out of them": LAST}, "continue": {"into the new bars": LAST}}
"""Bar lines between given and new, by use."""
TRUE = "the piece itself"


@dataclass
class Tally:
    """Of one use by one model: pieces done and refused, notes that had to stand and do, pieces in which all do."""

    pieces: int = 0
    refused: int = 0
    known: int = 0
    kept: int = 0
    whole: int = 0
    added: int = 0
    seconds: float = 0.0


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say what it can be told."""
    parser.add_argument("shards", type=Path)
    parser.add_argument("--pieces", type=int, default=50, help="for each use (default 50)")
    parser.add_argument("--styles", default="chorale,folk,piano,song,hymn,quartet")
    parser.add_argument("--splits", default="valid,test")
    parser.add_argument("--uses", default=",".join(USES))
    parser.add_argument("--beside", default="transformer", help="another model; '' for none")


def measure(options: argparse.Namespace) -> Figures:
    """By use and model."""
    composers = {"diffusion": load(options.model, threads=options.threads)}
    if options.beside:
        composers[options.beside] = load(options.beside)
    pieces = known_pieces(options.shards, options.splits.split(","), options.styles.split(","))
    result: Figures = {"machine": machine(), "model": str(options.model), "kept": {}, "seams": {}, "harmony": {}}
    for use in options.uses.split(","):
        fitting = [piece for piece in pieces if use != "harmonize" or len(piece.score.tracks) > 1][: options.pieces]
        for name, composer in composers.items():
            tally, made = _used(composer, use, fitting)
            print(use, name, tally, file=sys.stderr, flush=True)
            result["kept"][f"{use}, {name}"] = asdict(tally)
            pairs = [(made[i], piece.score) for i, piece in enumerate(fitting) if i in made]
            own, true = ([pair[side] for pair in pairs] for side in (0, 1))
            if use == "harmonize":
                result["harmony"][name] = _harmony(own)
                result["harmony"][TRUE] = _harmony([slice_bars(score, 0, LAST) for score in true])
                continue
            lines = (
                {"into the new bars": FIRST, "out of them": LAST} if use == "infill" else {"into the new bars": LAST}
            )
            for line, bar in lines.items():
                result["seams"].setdefault(f"{use}: {line}", {})[name] = _seams(own, bar)
                result["seams"][f"{use}: {line}"][TRUE] = _seams(true, bar)
    return result


def request_of(use: str, piece: Known, seed: int, *, tokens: bool) -> Request:
    """What is asked for; a model of tokens with what the command line gives it."""
    guidance = STYLE_GUIDANCE.get(piece.style, 1.0)
    sampling = SamplingOptions(min_p=0.01, guidance=guidance) if tokens else SamplingOptions()
    if use == "infill":
        return Request(prompt=piece.score, infill=(FIRST + 1, LAST), style=piece.style, seed=seed, sampling=sampling)
    part = slice_bars(piece.score, 0, LAST)
    if use == "continue":
        return Request(prompt=part, bars=TOTAL - LAST, style=piece.style, seed=seed, sampling=sampling)
    melody = highest(part)
    others = tuple((t.program, False) for k, t in enumerate(part.tracks) if k != melody)
    return Request(
        prompt=part, harmonize=(melody,), instruments=others, style=piece.style, seed=seed, sampling=sampling
    )


def _used(composer: Composer, use: str, pieces: Sequence[Known]) -> tuple[Tally, dict[int, Score]]:
    """Use a composer on pieces; the results by their numbers."""
    tally, made = Tally(), {}
    for number, piece in enumerate(pieces):
        request = request_of(use, piece, number, tokens=composer.name == "transformer")
        began = time.perf_counter()
        try:
            made[number] = composer.compose([request])[0]
        except RequestError as error:
            tally.refused += 1
            print(f"refused: {error}", file=sys.stderr)
            continue
        tally.seconds += time.perf_counter() - began
        assert request.prompt is not None
        known = given(request.prompt, use, request.harmonize)
        found = given(made[number], use, (0,) if use == "harmonize" else ())  # what stands comes first
        tally.pieces += 1
        tally.known += known.total()
        tally.kept += (known & found).total()
        tally.added += (found - known).total()
        tally.whole += known == found
    return tally, made


def _seams(scores: Sequence[Score], bar: int) -> dict[str, float]:
    """Means of what lies between the bars on both sides of a bar line."""
    found = np.array([seam(score, bar) for score in scores]).reshape(-1, 3)
    onsets, pitch, common = (mean(column[~np.isnan(column)]) for column in found.T)
    return {"onsets": onsets, "pitch": pitch, "common": common}


def _harmony(scores: Sequence[Score]) -> dict[str, float]:
    """How settings sound, on the mean."""
    found = np.array([(consonance_rate(s), in_key_rate(s), s.n_notes / LAST) for s in scores]).reshape(-1, 3)
    consonant, in_key, notes = (mean(column[~np.isnan(column)]) for column in found.T)
    return {"consonant": consonant, "out_of_key": 1 - in_key, "notes_a_bar": notes}


def table(result: Figures) -> Iterator[str]:
    """What stands, the seams, the settings."""
    head = ["use", "model", "pieces", "refused", "known notes", "kept", "notes added among them", "pieces untouched",
            "s a piece"]  # fmt: skip
    yield from markdown(head, (_line(name, row) for name, row in result["kept"].items()), words=2)
    if result["seams"]:
        yield ""
        head = ["bar line", "bars of", "onsets apart", "mean pitch apart, semitones", "pitch classes in common"]
        rows = [
            [line, name, plain(row["onsets"]), plain(row["pitch"]), percent(row["common"])]
            for line, models in result["seams"].items()
            for name, row in sorted(models.items(), key=lambda item: item[0] == TRUE)
        ]
        yield from markdown(head, rows, words=2)
    if result["harmony"]:
        yield ""
        rows = [
            [name, percent(row["consonant"]), percent(row["out_of_key"]), plain(row["notes_a_bar"], 1)]
            for name, row in sorted(result["harmony"].items(), key=lambda item: item[0] == TRUE)
        ]
        yield from markdown(["harmonized by", "pairs consonant", "out of key", "notes a bar"], rows)


def _line(name: str, row: Mapping[str, Any]) -> list[str]:
    numbers = [f"{row[key]:,}" for key in ("pieces", "refused", "known", "kept", "added", "whole")]
    seconds = row["seconds"] / row["pieces"] if row["pieces"] else math.nan
    return [*name.split(", "), *numbers, plain(seconds)]
