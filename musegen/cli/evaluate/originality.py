"""The command `musegen evaluate originality`."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from musegen.cli.files import plain, plural, say, tell_skipped

if TYPE_CHECKING:
    from musegen.evaluate.originality import Passage
    from musegen.evaluate.originality_index import Index


@click.command("originality")
@click.argument("paths", nargs=-1, required=True, metavar="FILE...")
@click.option("--index", "path", metavar="FILE",
              help="Another index, as scripts/build_originality_index.py writes it  [default: what the shipped models "
              "were trained on].")  # fmt: skip
@click.pass_context
def command(ctx: click.Context, /, paths: tuple[str, ...], path: str | None) -> None:
    """Say what each FILE (or each piece in a folder) shares most with the training set, in any key and tempo.

    The longest passage of one line, a few changed notes allowed, with the work it stands in, where, and how many
    real pieces share as much with works that they have nothing to do with (docs/originality.md).
    What cannot be read is named on stderr; the rest is compared.

    \b
    musegen evaluate originality song.mid
    musegen --json evaluate originality songs/
    """
    from functools import partial

    from musegen.evaluate.files import map_files, music_files
    from musegen.evaluate.originality import evaluate
    from musegen.evaluate.originality_index import load

    index = load(None if path is None else Path(path))
    passages, skipped = map_files(partial(evaluate, index), music_files(paths))
    tell_skipped(skipped, len(passages), "compared")
    if ctx.obj["json"]:
        record = {"index": _covers(index), "skipped": skipped,
                  "pieces": {file: _record(index, found) for file, found in passages.items()}}  # fmt: skip
        click.echo(json.dumps(record))
        return
    for file, found in passages.items():
        click.echo(plain(f"{file}: {_in_words(index, found)}"))
    sources = ", ".join(f"{count} {name}" for name, count in _covers(index)["works"].items())
    say(f"compared {plural(len(passages), 'piece')} with {plural(len(index.works), 'work')} ({sources})")


def _covers(index: Index) -> dict[str, Any]:
    """What the index holds: facts of its builder, works by source, notes, real pieces held against it."""
    works = Counter(work.source for work in index.works)
    real = {source: len(lengths) for source, lengths in index.real.items()}
    return {**index.facts, "works": dict(works), "notes": index.n_notes, "real_pieces": real}


def _record(index: Index, found: Passage) -> dict[str, Any]:
    """A passage as JSON holds it, with the share of real pieces that share as much."""
    from musegen.evaluate.originality import standing

    share, count = standing(index, found.notes)
    usual = None if math.isnan(share) else round(share, 4)
    return {**asdict(found), "share": round(found.share, 4), "real_share": usual, "real_pieces": count}


def _in_words(index: Index, found: Passage) -> str:
    """A passage in a line."""
    from musegen.evaluate.originality import standing

    if found.work is None:
        return "shares no passage with the training set"
    changes = f"{plural(found.changes, 'change')} within" if found.changes else "unchanged"
    bars = f"bar {found.bar}" if found.bar == found.last_bar else f"bars {found.bar} to {found.last_bar}"
    moved = f", {found.transposition:+d} semitones" if found.transposition else ""
    moved += f", times {found.stretch:.3g}" if found.stretch != 1 else ""
    share, count = standing(index, found.notes)
    usual = "" if math.isnan(share) else f"; {100 * share:.3g} % of {count} real pieces share as much or more"
    return (
        f'{found.notes} notes of "{found.work.title or found.work.name}" ({found.work.source}), {changes}, in {bars} '
        f"of track {found.track + 1}{moved}: {100 * found.share:.0f} % of the piece{usual}"
    )
