"""The command `musegen evaluate`: one module for each of its own commands."""

from __future__ import annotations

import click

from musegen.cli.lazy import LazyGroup

COMMANDS = {
    "metrics": "Measure pieces one by one: pitch, rhythm, texture, structure, voice leading.",
    "compare": "How far a set of pieces is from real ones, and how far real ones are from each other.",
    "originality": "The longest passage that a piece shares with what the models were trained on.",
    "likelihood": "What a model spends on music that it has not seen.",
}
"""Each command and its line in `musegen evaluate --help`."""


@click.group("evaluate", cls=LazyGroup, table=COMMANDS, package=__name__)
def command() -> None:
    """Measure music: pieces, sets of pieces, and models.

    \b
    musegen evaluate metrics song.mid
    musegen evaluate compare my_songs/ real_songs/ --html report.html
    musegen evaluate originality song.mid
    musegen evaluate likelihood my_songs/ --level
    """
