"""The command `musegen continue`."""

from __future__ import annotations

from typing import Any

import click

from musegen.cli import files
from musegen.cli import options as opt
from musegen.errors import RequestError


@click.command("continue")
@click.argument("file")
@click.option("--bars", type=click.IntRange(1, 256), default=8, show_default=True, help="How many bars more, exactly.")
@click.option("--from-bar", type=click.IntRange(2), help="Write on from this bar; what follows it is left out.")
@click.option("--only-new", is_flag=True, help="Write the new bars alone.")
@click.option("--key", help="The key that --scale strict keeps to, where the file says none.")
@opt.options(files.READING, opt.MUSIC, files.OUTPUT, opt.SAMPLES, opt.SAMPLING, opt.MODEL)
def command(file: str, **values: Any) -> None:
    """Keep FILE as it is and write on, in its metre and on its tracks.

    \b
    musegen continue tune.mid --bars 8 -o longer.mid
    musegen continue tune.mid --from-bar 5 --only-new --seed 3 -o other_end.mid
    """
    opt.refuse_idle(opt.given(values))
    if values["key"] and values["scale"] != "strict":
        raise RequestError("--key does nothing without --scale strict: a continuation keeps the key of its piece")
    piece = files.read_input(file, files.reading(values, file))
    checked = opt.request_of(values, 0, prompt=piece, from_bar=values["from_bar"], only_new=values["only_new"])
    opt.write_beside("continue", file, "continued", values, checked)
