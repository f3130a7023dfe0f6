"""The command `musegen vary`."""

from __future__ import annotations

from typing import Any

import click

from musegen.cli import files
from musegen.cli import options as opt
from musegen.errors import RequestError


@click.command("vary")
@click.argument("file")
@click.option("--strength", type=click.FloatRange(0, 1), default=0.5, show_default=True,
              help="0 is the piece itself, 1 a new one of the same frame.")  # fmt: skip
@click.option("--key", help="The key that --scale strict keeps to, where the file says none.")
@opt.options(files.READING, opt.MUSIC, files.OUTPUT, opt.SAMPLES, opt.SAMPLING, opt.MODEL)
def command(file: str, **values: Any) -> None:
    """Write a variation of FILE: the same bars, metre and tracks, other notes.

    A model of tokens writes a share of the bars anew and leaves the others; a diffusion model changes a little
    everywhere, the more the stronger.

    \b
    musegen vary tune.mid --strength 0.3 -o nearly.mid
    musegen vary song.mid --strength 0.7 -m diffusion -n 4 -o variations/
    """
    opt.refuse_idle(opt.given(values))
    if values["key"] and values["scale"] != "strict":
        raise RequestError("--key does nothing without --scale strict: a variation keeps the key of its piece")
    piece = files.read_input(file, files.reading(values, file))
    if not piece.n_notes:
        raise RequestError("the piece has no notes to vary")
    checked = opt.request_of(values, 0, prompt=piece, vary=values["strength"])
    opt.write_beside("vary", file, "varied", values, checked)
