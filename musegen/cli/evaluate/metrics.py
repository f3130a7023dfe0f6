"""The command `musegen evaluate metrics`."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from musegen.cli.files import plain, tell_skipped

if TYPE_CHECKING:
    from rich.table import Table

    from musegen.evaluate.pieces import Summary

Values = Mapping[str, Mapping[str, float]]


@click.command("metrics")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option(
    "--metric",
    "names",
    multiple=True,
    metavar="NAME",
    help="Only this one; repeatable (docs/evaluation.md explains each)  [default: all].",
)
@click.option("--each", is_flag=True, help="A line for each piece, tabs between (--json has both).")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes  [default: one for each core].")
@click.pass_context
def command(
    ctx: click.Context, /, paths: tuple[str, ...], names: tuple[str, ...], each: bool, workers: int | None
) -> None:  # fmt: skip
    """Measure each piece in PATH..., files or folders with all that is in them, and sum up.

    A metric that has no meaning for a piece (voice leading without four voices, a key that it does not say) is empty,
    and left out of the summary. What cannot be read is named on stderr; the rest is measured.

    \b
    musegen evaluate metrics song.mid
    musegen evaluate metrics songs/ --metric loop_rate --metric empty_beat_rate --each
    """
    from musegen.evaluate.pieces import evaluate_files, music_files, summarise

    pieces, skipped = evaluate_files(music_files(paths), names or None, workers=workers or os.cpu_count() or 1)
    tell_skipped(skipped, len(pieces), "measured")
    summary = summarise(pieces)
    if ctx.obj["json"]:
        click.echo(json.dumps(_without_nan(pieces, skipped, summary), allow_nan=False))
    elif each:
        click.echo("\t".join(["file", *summary]))
        for file, values in pieces.items():
            click.echo("\t".join([plain(file), *map(_figure, values.values())]))
    elif len(pieces) == 1:
        (values,) = pieces.values()
        _print(_table(["metric", "value", "unit"], [[n, _figure(v), summary[n].unit] for n, v in values.items()]))
    else:
        rows = [
            [name, *map(_figure, (s.mean, s.sd, s.min, s.median, s.max)), str(s.n), s.unit]
            for name, s in summary.items()
        ]
        _print(_table(["metric", "mean", "sd", "min", "median", "max", "pieces", "unit"], rows))


def _without_nan(pieces: Values, skipped: Mapping[str, str], summary: Mapping[str, Summary]) -> dict[str, Any]:
    """The record of --json, in which null stands for what is not defined."""

    def cell(value: Any) -> Any:
        return None if isinstance(value, float) and math.isnan(value) else value

    def row(values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: cell(value) for name, value in values.items()}

    return {
        "pieces": {file: row(values) for file, values in pieces.items()},
        "skipped": dict(skipped),
        "summary": {name: row(asdict(figures)) for name, figures in summary.items()},
    }


def _figure(value: float) -> str:
    """Four digits that matter; nothing for NaN."""
    return "" if math.isnan(value) else f"{value:.4g}"


def _table(columns: list[str], rows: list[list[str]]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        words = column in {"metric", "unit"}
        table.add_column(column, justify="left" if words else "right", no_wrap=not words, overflow="fold")
    for cells in rows:
        table.add_row(*cells)
    return table


def _print(table: Table) -> None:
    """On a terminal in its width; elsewhere as wide as it is, so that nothing is folded in a file."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else 200, markup=False, highlight=False).print(table)
