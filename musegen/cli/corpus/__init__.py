"""The command `musegen corpus`: one module for each of its own commands."""

from __future__ import annotations

import click

from musegen.cli.lazy import LazyGroup

COMMANDS = {
    "build": "Shards to train on, from folders of music files.",
    "report": "What shards hold, and what was left out and why.",
}
"""Each command and its line in `musegen corpus --help`."""


@click.group("corpus", cls=LazyGroup, table=COMMANDS, package=__name__)
def command() -> None:
    """Make training data of folders of music: read, clean, deduplicate, split, encode.

    \b
    musegen corpus build my_songs/ -o shards
    musegen corpus report shards
    """
