"""The command `musegen corpus report`."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import click

from musegen.cli.files import plain


@click.command("report")
@click.argument("shards", type=click.Path(path_type=Path))
@click.option("--names", is_flag=True, help="Name each file that was left out, with the reason, tabs between.")
@click.pass_context
def command(ctx: click.Context, /, shards: Path, names: bool) -> None:
    """Tell what SHARDS hold: pieces by split and style, files left out by reason, held-out music met, licences.

    \b
    musegen corpus report shards
    musegen corpus report shards --names | grep unreadable
    """
    from musegen.corpus.shards import load_info

    info = load_info(shards)
    if ctx.obj["json"]:
        click.echo(json.dumps(info))
    elif names:
        for reason, files in info["dropped_names"].items():
            for file in files:
                told = info["dropped_details"].get(file) or " ".join(map(str, info["leaks"].get(file, ())))
                click.echo("\t".join(map(plain, (file, reason.split(": ", 1)[1], told))))
    else:
        print_tables(info)


def print_tables(info: dict[str, Any], titles: Collection[str] = (), *, err: bool = False) -> None:
    """The tables of a report, or those of these titles; on a terminal in its width, elsewhere as wide as they are."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from musegen.corpus.report import tables

    stream = sys.stderr if err else sys.stdout
    console = Console(stderr=err, width=None if stream.isatty() else 200, markup=False, highlight=False)
    for table in tables(info):
        if titles and table.title not in titles:
            continue
        shown = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        numbers = [bool(table.rows) and isinstance(cell, int) for cell in table.rows[0]]
        for column, is_number in zip(table.columns, numbers, strict=True):
            shown.add_column(column, justify="right" if is_number else "left", overflow="fold")
        for row in table.rows:
            shown.add_row(*(f"{cell:,}" if isinstance(cell, int) else plain(cell) for cell in row))
        console.print(f"{table.title}\n")
        console.print(shown)
        console.print()
