"""The command `musegen compose`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from musegen.cli import files
from musegen.cli import options as opt


@click.command("compose")
@click.option("--bars", type=click.IntRange(1, 256), default=16, show_default=True, help="How many bars, exactly.")
@opt.options(opt.FRAME, opt.MUSIC, files.OUTPUT, opt.SAMPLES, opt.COPYING, opt.SAMPLING, opt.MODEL)
def command(**values: Any) -> None:
    """Write a new piece, from nothing but a seed, or from a motif.

    \b
    musegen compose --style folk --key "D major" --meter 6/8 --seed 7 -o jig.mid
    musegen compose --motif "D4:1 F#4:1/2 A4:1/2 D5:2" --bars 8 -n 4 -o songs/
    """
    from musegen import checkpoint
    from musegen.compose.style import styled

    samples = values["num_samples"]
    wishes = opt.given(values)
    opt.refuse_idle(wishes)
    checked = opt.request_of(values, 0)
    seed = opt.drawn_seed(values["seed"], samples)
    style = styled(checked, checkpoint.card(opt.model_of(values["model"]))).style
    name = f"{style or 'piece'}-{seed}"
    paths = files.targets(values["output"], name, samples, force=values["force"])
    requests = [
        replace(checked, seed=seed + i, made_with=opt.command_line("compose", [], wishes, seed + i))
        for i in range(samples)
    ]
    opt.compose_and_write(requests, paths, values)
