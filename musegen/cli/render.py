"""The command `musegen render`."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import click

from musegen.cli import options as opt
from musegen.cli.files import READING, plural, read_input, reading, say


@click.command("render")
@click.argument("file")
@click.option("-o", "--output", help="The picture, a .png [default: FILE with that suffix].")
@click.option("--bars", help="Only these bars, such as 5-12.")
@click.option("--force", is_flag=True, help="Write over what exists.")
@opt.options(READING)
def command(file: str, output: str | None, bars: str | None, force: bool, **values: Any) -> None:
    """Draw FILE as a piano roll: bars and beats, note names, a colour a track, velocity as shade.

    \b
    musegen render jig.mid -o jig.png
    musegen render jig.mid --bars 5-12 -o middle.png
    """
    from musegen.errors import FileFormatError
    from musegen.render.image import piano_roll, to_png, write_png
    from musegen.score.timing import n_bars

    path = Path(output or ("piece.png" if file == "-" else Path(file).with_suffix(".png")))
    if output != "-" and path.suffix.lower() != ".png":
        raise FileFormatError(f"{path}: a picture is a .png here")
    if output != "-" and path.exists() and not force:
        raise FileFormatError(f"{path}: exists already; choose another name or say --force")
    wanted = None if bars is None else _bars(bars)
    score = read_input(file, reading(values, file))
    if output == "-":
        sys.stdout.buffer.write(to_png(piano_roll(score, bars=wanted)))
        sys.stdout.buffer.flush()
        return
    write_png(score, path, force=force, bars=wanted)
    if click.get_current_context().obj["json"]:
        click.echo(json.dumps({"files": [str(path)], "bars": n_bars(score), "notes": score.n_notes}))
    else:
        click.echo(str(path))
    say(f"{plural(n_bars(score), 'bar')}, {plural(score.n_notes, 'note')}")


def _bars(text: str) -> tuple[int, int]:
    """The bars of "5-12" (counted from 1, both included), 0-based and half-open."""
    from musegen.errors import RequestError

    match = re.fullmatch(r"([1-9]\d{0,5})(?:-([1-9]\d{0,5}))?", text.strip(), re.ASCII)
    if match is None or int(match[1]) > int(match[2] or match[1]):
        raise RequestError(f"cannot read the bars {text!r}; write 5-12, or 5 for one")
    return int(match[1]) - 1, int(match[2] or match[1])
