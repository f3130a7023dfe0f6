"""Steps a note of several representations, and calls of the network a note when drafts are read along.

One step writes a token: ours, REMI's (Huang and Yang 2020) or TSD's; or a compound, which says all of a note at once,
as Compound Word (Hsiao et al. 2021; bars and positions are steps of their own) and OctupleMIDI (Zeng et al. 2021) do.
Those are MidiTok's, on the same files, heads and bars included. A second table is of our composer as it writes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from unittest import mock

from musegen import checkpoint
from musegen.decoding.drafting import LONGEST
from musegen.engine import Decoder
from musegen.tokens import Remi

from .common import Figures, machine, markdown
from .composing import composed
from .peers import miditok_tokenizer
from .tokens import Piece, encoded

THEIRS = {"REMI": "a token", "TSD": "a token", "CPWord": "a bar, a position or a note", "Octuple": "a note"}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say what it can be told."""
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--files", type=int, default=100, help="of each folder at most (default 100)")
    parser.add_argument("--styles", default="folk,chorale,song,piano", help="of the pieces that are composed")
    parser.add_argument("--pieces", type=int, default=4, help="composed of each style, one by one (default 4)")
    parser.add_argument("--tokens", type=int, default=1024, help="of each of these (default 1024)")


def measure(options: argparse.Namespace) -> Figures:
    """Steps of each folder, and calls of each style."""
    result: Figures = {"machine": machine(), "steps": [], "calls": []}
    for folder in options.folders:
        pieces = encoded(folder, options.files)
        notes = sum(piece.score.n_notes for piece in pieces)
        key = {"folder": folder.name, "files": len(pieces), "notes": notes}
        result["steps"] += [key | row for row in _steps(pieces)]
    network, _ = checkpoint.load_decoder("transformer")
    result["calls"] = [_calls(network, style, options.pieces, options.tokens) for style in options.styles.split(",")]
    return result


def _steps(pieces: list[Piece]) -> Iterator[Figures]:
    """A row a representation: its steps, and the notes that it holds."""
    kept = sum(Remi().decode(piece.ids).n_notes for piece in pieces)
    yield {"program": "musegen", "one step": "a token", "steps": sum(len(piece.ids) for piece in pieces), "kept": kept}
    if not find_spec("miditok"):
        return
    symusic = import_module("symusic")
    scores = [symusic.Score(str(piece.path)) for piece in pieces]
    for name, step in THEIRS.items():
        tokenizer = miditok_tokenizer(name)
        written = [list(map(str, tokenizer.encode(score).tokens)) for score in scores]
        kept = sum("Pitch_" in word for words in written for word in words)
        yield {"program": f"MidiTok {name}", "one step": step, "steps": sum(map(len, written)), "kept": kept}


def _calls(network: Decoder, style: str, pieces: int, n_tokens: int) -> Figures:
    """How often the network is called for pieces of a style, and what they hold."""
    with mock.patch.object(network, "read", wraps=network.read) as read:
        runs = [composed(network, 1, n_tokens, style=style, first_seed=seed) for seed in range(pieces)]
    tokens, notes = sum(run.tokens for run in runs), sum(run.notes for run in runs)
    return {"style": style, "tokens": tokens, "notes": notes, "calls": read.call_count}


def table(result: Figures) -> Iterator[str]:
    """A line a folder and representation; then a line a style."""
    lines = [
        [row["folder"], row["program"], row["one step"], str(row["files"]), f"{row['notes']:,}",
         f"{row['kept'] / row['notes']:.1%}", f"{row['steps'] / row['kept']:.2f}"]
        for row in result["steps"]
    ]  # fmt: skip
    head = ["folder", "representation", "one step is", "files", "notes", "notes kept", "steps a note"]
    yield from markdown(head, lines, words=3)
    yield ""
    lines = []
    for row in result["calls"]:
        tokens, notes, calls = row["tokens"], row["notes"], row["calls"]
        lines.append([row["style"], f"{tokens:,}", f"{notes:,}", f"{calls:,}", f"{tokens / notes:.2f}"])
        lines[-1] += [f"{tokens / calls:.2f}", f"{calls / notes:.2f}"]
    head = ["composed, with drafts", "tokens", "notes", "calls", "tokens a note", "tokens a call", "calls a note"]
    yield from markdown(head, lines)
    yield (
        f"\nNot shown: what a step costs (a call with a draft reads up to {LONGEST + 1} tokens, a compound is read and "
        "written by a layer for each of its fields), and what the music is worth: for equal quality a network would "
        "have to be trained for each representation."
    )
