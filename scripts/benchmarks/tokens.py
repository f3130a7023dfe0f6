"""Notes a second of encoding and decoding, from objects and from files, beside MidiTok's REMI."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

from musegen.errors import MusegenError
from musegen.score.formats import read, to_bytes
from musegen.score.model import Score
from musegen.tokens import Remi
from musegen.tokens.writer import Ids

from .common import Figures, in_turns, machine, markdown, midi_files
from .peers import miditok_tokenizer


class Piece(NamedTuple):
    """A file, what it holds, and its ids."""

    path: Path
    score: Score
    ids: Ids


Jobs = dict[str, Callable[[], object]]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say what it can be told."""
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--files", type=int, default=500, help="of each folder at most (default 500)")
    parser.add_argument("--rounds", type=int, default=3)


def encoded(folder: Path, count: int) -> list[Piece]:
    """The pieces of a folder; what cannot be read or written as tokens is left out."""
    return [piece for path in midi_files(folder, count) if (piece := _encoded(path)) is not None]


def _encoded(path: Path) -> Piece | None:
    try:
        score = read(path, warn=lambda _: None)
        return Piece(path, score, Remi().encode(score))
    except MusegenError:
        return None


def measure(options: argparse.Namespace) -> Figures:
    """Notes a second by folder, work and program."""
    result: Figures = {"machine": machine(), "rows": []}
    for folder in options.folders:
        pieces = encoded(folder, options.files)
        n_notes = sum(piece.score.n_notes for piece in pieces)
        with tempfile.TemporaryDirectory() as room:
            jobs = _ours(pieces, Path(room) / "x.mid")
            if find_spec("miditok"):
                jobs |= _theirs(pieces, Path(room) / "x.mid")
            figures = in_turns({name: partial(_rate, job, n_notes) for name, job in jobs.items()}, options.rounds)
        for label, values in figures.items():
            work, program = label.split(", ")
            result["rows"].append({"folder": folder.name, "work": work, "program": program, "notes": values,
                                   "files": len(pieces), "n_notes": n_notes})  # fmt: skip
    return result


def _rate(work: Callable[[], object], n_notes: int) -> float:
    """Notes a second of work on so many."""
    began = time.perf_counter()
    work()
    return n_notes / (time.perf_counter() - began)


def _ours(pieces: list[Piece], out: Path) -> Jobs:
    ours = Remi()
    return {
        "encode, musegen": lambda: [ours.encode(piece.score) for piece in pieces],
        "decode, musegen": lambda: [ours.decode(piece.ids) for piece in pieces],
        "file to ids, musegen": lambda: [ours.encode(read(piece.path, warn=lambda _: None)) for piece in pieces],
        "ids to file, musegen": lambda: [out.write_bytes(to_bytes(ours.decode(piece.ids))) for piece in pieces],
    }


def _theirs(pieces: list[Piece], out: Path) -> Jobs:
    symusic, theirs = import_module("symusic"), miditok_tokenizer()
    scores = [symusic.Score(str(piece.path)) for piece in pieces]
    ids = [theirs.encode(score) for score in scores]
    return {
        "encode, MidiTok": lambda: [theirs.encode(score) for score in scores],
        "decode, MidiTok": lambda: [theirs.decode(each) for each in ids],
        "file to ids, MidiTok": lambda: [theirs.encode(symusic.Score(str(piece.path))) for piece in pieces],
        "ids to file, MidiTok": lambda: [theirs.decode(each).dump_midi(out) for each in ids],
    }


def table(result: Figures) -> Iterator[str]:
    """A line a folder and work."""
    rows = {(r["folder"], r["work"], r["program"]): statistics.median(r["notes"]) for r in result["rows"]}
    lines = []
    for folder, work in dict.fromkeys((key[0], key[1]) for key in rows):
        mine, peer = rows[folder, work, "musegen"], rows.get((folder, work, "MidiTok"))
        lines.append([folder, work, f"{mine:,.0f}", *([f"{peer:,.0f}", f"{mine / peer:.1f}"] if peer else ["", ""])])
    yield from markdown(["folder", "work", "musegen, notes a second", "MidiTok REMI", "ratio"], lines, words=2)
