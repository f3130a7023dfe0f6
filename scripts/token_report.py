"""What the time grid keeps and what a note costs, for each folder of music.

    python scripts/token_report.py FOLDER... [--files N] [--miditok]

A folder holds MIDI files anywhere below it. Two Markdown tables go to stdout: the share of notes whose onset and
duration a grid of 4 to 48 steps a quarter keeps exactly (durations within one tick: notation programs end a note a
tick early), and tokens a note, beside MidiTok's REMI where `--miditok` asks for it (`pip install miditok`).
"""

from __future__ import annotations

import random
from pathlib import Path

import click
import numpy as np
from benchmarks.peers import miditok_tokenizer  # the folder beside this script

from musegen.errors import MusegenError
from musegen.score.formats import read
from musegen.score.model import Score
from musegen.tokens import Remi

GRIDS = (4, 8, 12, 16, 24, 48)


@click.command(help=__doc__)
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--files", default=300, show_default=True, help="Files a folder at most, drawn with a fixed seed.")
@click.option("--miditok/--no-miditok", default=False, help="Count MidiTok's REMI tokens too.")
def main(folders: tuple[Path, ...], files: int, miditok: bool) -> None:
    """Read the folders and print both tables."""
    grid_rows, token_rows = [], []
    for folder in folders:
        paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".mid", ".midi"))
        random.Random(0).shuffle(paths)
        scores = [(path, read(path, warn=lambda _: None)) for path in sorted(paths[:files])]
        kept = np.mean([_kept(score) for _, score in scores], axis=0)
        grid_rows.append([folder.name, *(f"{100 * onset:.1f} / {100 * both:.1f}" for onset, both in kept)])
        token_rows.append([folder.name, *_tokens(scores, miditok)])
    _table(["source", *(f"{grid} a quarter" for grid in GRIDS)], grid_rows)
    _table(["source", "pieces", "notes", "left out", "musegen", "MidiTok REMI"], token_rows)


def _kept(score: Score) -> list[tuple[float, float]]:
    """For each grid, the share of onsets kept, and of notes whose duration is kept too."""
    notes = np.concatenate(
        [track.notes for track in score.tracks] or [np.zeros(0, [("start", int), ("duration", int)])]
    )
    rows = []
    for grid in GRIDS:
        step = score.ticks_per_beat / grid
        onset = np.isclose(notes["start"] / step % 1, 0) | np.isclose(notes["start"] / step % 1, 1)
        steps = np.maximum(1, np.rint(notes["duration"] / step))
        both = onset & (np.abs(notes["duration"] - steps * step) <= 1)
        rows.append((float(onset.mean()), float(both.mean())) if len(notes) else (1.0, 1.0))
    return rows


def _tokens(scores: list[tuple[Path, Score]], miditok: bool) -> list[str]:
    ours = theirs = notes = failed = 0
    their_tokenizer = miditok_tokenizer() if miditok else None
    for path, score in scores:
        try:
            ids = Remi().encode(score)
        except MusegenError:
            failed += 1
            continue
        ours += len(ids)
        notes += score.n_notes
        if their_tokenizer is not None:
            theirs += len(their_tokenizer(path).ids)
    peer = f"{theirs / notes:.2f}" if miditok else "not asked"
    return [str(len(scores)), str(notes), str(failed), f"{ours / notes:.2f}", peer]


def _table(head: list[str], rows: list[list[str]]) -> None:
    click.echo("| " + " | ".join(head) + " |")
    click.echo("|" + "---|" * len(head))
    for row in rows:
        click.echo("| " + " | ".join(row) + " |")
    click.echo()


if __name__ == "__main__":
    main()
