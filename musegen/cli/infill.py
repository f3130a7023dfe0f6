"""The command `musegen infill`."""

from __future__ import annotations

import re
from typing import Any

import click

from musegen.cli import files
from musegen.cli import options as opt
from musegen.errors import RequestError


@click.command("infill")
@click.argument("file")
@click.option("--bars", required=True, metavar="A-B", help="The bars to write anew, counted from 1.")
@click.option("--track", multiple=True, metavar="NAME|NUMBER", help="Only in this track; repeatable.")
@click.option("--key", help="The key that --scale strict keeps to, where the file says none.")
@opt.options(files.READING, opt.MUSIC, files.OUTPUT, opt.SAMPLES, opt.SAMPLING, opt.MODEL)
def command(file: str, **values: Any) -> None:
    """Write some bars of FILE anew, to fit what stands before and after; all else stays as it is.

    \b
    musegen infill tune.mid --bars 5-8 -o other_middle.mid
    musegen infill song.mid --bars 9-16 --track Bass --track 3 --seed 4 -o other_bass.mid
    """
    opt.refuse_idle(opt.given(values))
    if values["key"] and values["scale"] != "strict":
        raise RequestError("--key does nothing without --scale strict: the new bars keep the key of their piece")
    span = parse_span(values["bars"])
    piece = files.read_input(file, files.reading(values, file))
    tracks = tuple(dict.fromkeys(opt.track_of(piece, text) for text in values["track"]))
    checked = opt.request_of({**values, "bars": None}, 0, prompt=piece, infill=span, tracks=tracks)
    opt.write_beside("infill", file, "infilled", values, checked)


def parse_span(text: str) -> tuple[int, int]:
    """(first, last) of "5-8", or of "5" alone."""
    found = re.fullmatch(r"\s*(\d{1,6})\s*(?:-\s*(\d{1,6})\s*)?", text, re.ASCII)
    if found is None:
        raise RequestError(f"cannot read the bars {text!r}; write first-last, such as 5-8, or one number")
    return int(found[1]), int(found[2] or found[1])
