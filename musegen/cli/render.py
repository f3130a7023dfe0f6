"""The command `musegen render`."""

from __future__ import annotations

from pathlib import Path

import click

from musegen.cli.options import say


@click.command("render")
@click.argument("file")
@click.option("-o", "--output", help="The picture, a .png [default: FILE with that suffix].")
@click.option("--bars", help="Only these bars, such as 5-12.")
@click.option("--force", is_flag=True, help="Write over what exists.")
def command(file: str, output: str | None, bars: str | None, force: bool) -> None:
    """Draw FILE as a piano roll: bars and beats, note names, a colour a track, velocity as shade.

    \b
    musegen render jig.mid -o jig.png
    musegen render jig.mid --bars 5-12 -o middle.png
    """
    from musegen.errors import FileFormatError
    from musegen.render.image import write_png
    from musegen.score.formats import read
    from musegen.score.ops import slice_bars

    path = Path(output) if output else Path(file).with_suffix(".png")
    if path.suffix.lower() != ".png":
        raise FileFormatError(f"{path}: a picture is a .png here")
    score = read(file)
    if bars is not None:
        first, last = _bars(bars)
        score = slice_bars(score, first - 1, last)
    write_png(score, path, force=force)
    click.echo(str(path))
    say(f"{score.n_notes} notes")


def _bars(text: str) -> tuple[int, int]:
    from musegen.errors import RequestError

    first, _, last = text.partition("-")
    if not first.isdigit() or not (last or first).isdigit() or not 1 <= int(first) <= int(last or first):
        raise RequestError(f"cannot read the bars {text!r}; write 5-12, or 5 for one")
    return int(first), int(last or first)
