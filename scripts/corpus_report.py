"""How fast folders of music become training data, beside MidiTok's pipeline on the same files.

    python scripts/corpus_report.py FOLDER... [--files N] [--miditok]

A Markdown table goes to stdout, in one process: files and notes a second of the processor of `musegen.corpus.prepared`
without and with the estimate of chords (read, check, level, style and controls, encode, fingerprint), and of MidiTok's
REMI (read, encode) where `--miditok` asks for it (`pip install miditok`). Files that either leaves out are left out.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import click
from benchmarks.peers import miditok_tokenizer  # the folder beside this script

from musegen.corpus.clean import CleanConfig
from musegen.corpus.manifest import Row, list_pieces
from musegen.corpus.prepared import Job, PrepareConfig, prepare
from musegen.corpus.sources import source_of
from musegen.score.formats import MIDI_SUFFIXES

CONFIG = PrepareConfig(CleanConfig(min_bars=1), chords=False)


@click.command(help=__doc__)
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--files", default=100, show_default=True, help="Files a folder at most, drawn with a fixed seed.")
@click.option("--miditok/--no-miditok", default=False, help="Time MidiTok's REMI too.")
def main(folders: tuple[Path, ...], files: int, miditok: bool) -> None:
    """Time each folder and print the table."""
    theirs = miditok_tokenizer() if miditok else None
    _print_row("source", "files", "notes", "musegen", "with chords", *(["MidiTok REMI", "ratio"] if miditok else []))
    _print_row(*["---"] * (7 if miditok else 5))
    for folder in folders:
        rows = [row for row in list_pieces(folder) if row.file.suffix.lower() in MIDI_SUFFIXES]
        random.Random(0).shuffle(rows)
        rows, notes = _usable(rows[:files])
        ours = _seconds(lambda row: prepare(_job(row, chords=False)), rows)
        cells = [_rates(len(rows), notes, ours)]
        cells.append(_rates(len(rows), notes, _seconds(lambda row: prepare(_job(row, chords=True)), rows)))
        if theirs is not None:
            peer = _seconds(lambda row: theirs(row.file), rows)
            cells += [_rates(len(rows), notes, peer), f"{peer / ours:.2f}"]
        _print_row(folder.name, str(len(rows)), f"{notes:,}", *cells)


def _job(row: Row, *, chords: bool) -> Job:
    return Job(row, source_of(row.source), replace(CONFIG, chords=chords))


def _usable(rows: list[Row]) -> tuple[list[Row], int]:
    """The rows that give a piece, and how many notes these have."""
    pieces = [(row, prepare(_job(row, chords=False)).piece) for row in rows]
    return [row for row, piece in pieces if piece], sum(piece.n_notes for _, piece in pieces if piece)


def _seconds(what: Callable[[Row], object], rows: list[Row]) -> float:
    """The least of three times of the processor for all rows; the files are in the system's memory by then."""
    times = []
    for _ in range(3):
        began = time.process_time()
        for row in rows:
            what(row)
        times.append(time.process_time() - began)
    return min(times)


def _rates(files: int, notes: int, seconds: float) -> str:
    return f"{files / seconds:,.0f} / {notes / seconds:,.0f}"


def _print_row(*cells: str) -> None:
    click.echo(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
