"""The command `musegen corpus build`."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from musegen.cli.corpus.report import print_tables
from musegen.cli.files import say

if TYPE_CHECKING:
    from musegen.corpus.build import Exclusion

_SECONDS = 5.0
"""Between two lines of progress."""


@click.command("build")
@click.argument("folders", nargs=-1, required=True, metavar="SOURCE...", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder for the shards."
)
@click.option(
    "--exclude",
    "excluded",
    multiple=True,
    metavar="FOLDER:SPLIT[,SPLIT]",
    help="Keep the music of these splits out of train, found by its notes in any key; repeatable.",
)
@click.option("--style", help="The style of folders that are no known source  [default: none].")
@click.option("--chords/--no-chords", default=True, show_default=True, help="Put each piece's chords beside it.")
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    default=20.0,
    show_default=True,
    help="The most that one file may take.",
)
@click.option(
    "--megabytes",
    type=click.IntRange(64),
    default=2048,
    show_default=True,
    help="The most memory that one file may take (Linux).",
)
@click.option("--min-bars", type=click.IntRange(1), default=4, show_default=True, help="Leave out what is shorter.")
@click.option("--max-bars", type=click.IntRange(1), default=2000, show_default=True, help="Leave out what is longer.")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes  [default: one for each core].")
@click.option("--keep-work", is_flag=True, help="Keep what was made of each file, so that a larger build is quicker.")
@click.option("--force", is_flag=True, help="Write over shards that exist.")
@click.pass_context
def command(
    ctx: click.Context, /, folders: tuple[Path, ...], output: Path, excluded: tuple[str, ...], style: str | None,
    chords: bool, seconds: float, megabytes: int, min_bars: int, max_bars: int, workers: int | None, keep_work: bool,
    force: bool,
) -> None:  # fmt: skip
    """Build shards from the music in SOURCE..., folders of files in any format that musegen reads.

    A folder's manifest.csv (path, title, licence, split) names its pieces; without one all files below it are taken,
    and their notes tell the split. What is left out is counted by reason; `musegen corpus report` tells it again.
    Killed, it goes on where it was when called again.

    \b
    musegen corpus build my_songs/ -o shards --style jazz
    musegen corpus build data/folk data/lieder --exclude data/jsb:valid,test -o shards
    """
    from musegen.corpus.build import BuildConfig, build
    from musegen.corpus.clean import CleanConfig
    from musegen.corpus.prepared import PrepareConfig
    from musegen.corpus.shards import INFO_FILE
    from musegen.corpus.workers import FileLimits

    clean = CleanConfig(min_bars=min_bars, max_bars=max_bars)
    info = build(
        folders,
        output,
        [exclusion(text) for text in excluded],
        BuildConfig(
            PrepareConfig(clean, FileLimits(seconds, megabytes), chords=chords),
            style=style,
            workers=workers or os.cpu_count() or 1,
            keep_work=keep_work,
        ),
        force=force,
        advance=Progress(),
    )
    if ctx.obj["json"]:
        told = ("sources", "dropped", "excluded")
        click.echo(json.dumps({"file": str(output / INFO_FILE), **{name: info[name] for name in told}}))
        return
    if not ctx.obj["quiet"]:
        print_tables(info, ("kept", "left out", "music kept out of train"), err=True)
    click.echo(output / INFO_FILE)


def exclusion(text: str) -> Exclusion:
    """FOLDER:SPLIT[,SPLIT] as an Exclusion.

    Raises:
        RequestError: if it is not of that form.
    """
    from musegen.corpus.build import Exclusion
    from musegen.corpus.manifest import SPLITS
    from musegen.errors import RequestError

    folder, colon, splits = text.rpartition(":")
    names = tuple(splits.split(","))
    if not colon or not set(names) <= set(SPLITS):
        raise RequestError(f"--exclude {text}: write FOLDER:SPLIT[,SPLIT], splits from {', '.join(SPLITS)}")
    return Exclusion(Path(folder), names)


class Progress:
    """Says how many files are done, now and then."""

    def __init__(self) -> None:
        self.began = self.said = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        """Told after each file."""
        now = time.monotonic()
        if done == total or now - self.said > _SECONDS:
            self.said = now
            say(f"{done} of {total} files, {now - self.began:.0f} s")
