"""The command `musegen evaluate compare`."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from musegen.cli.files import plain, plural, say
from musegen.errors import FileFormatError

if TYPE_CHECKING:
    from musegen.evaluate.compare import Comparison
    from musegen.evaluate.features import FeatureTable

MANIFEST = "manifest.csv"
Found = tuple[list[Path], dict[str, str], dict[str, str]]
"""Music files, the work of each by its path, and why others are left out."""


@click.command("compare")
@click.argument("generated", type=click.Path(path_type=Path))
@click.argument("reference", type=click.Path(path_type=Path))
@click.option(
    "--split",
    type=click.Choice(["train", "valid", "test"]),
    multiple=True,
    help="Only the reference's pieces of this split of its manifest.csv; repeatable.",
)
@click.option(
    "--bars",
    type=click.IntRange(1, 1024),
    default=16,
    show_default=True,
    help="Compare the first so many bars of each piece; shorter pieces are left out.",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="What decides halves, folds and forests."
)
@click.option("--html", type=click.Path(path_type=Path), metavar="FILE", help="Write a page with charts and pictures.")
@click.option("--title", help="Its heading.")
@click.option("--force", is_flag=True, help="Write over what exists.")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes to read with  [default: the cores].")
@click.pass_context
def command(ctx: click.Context, /, generated: Path, reference: Path, **values: Any) -> None:
    """How far the pieces of GENERATED are from those of REFERENCE, and halves of REFERENCE from each other.

    Both are files or folders; a folder with a manifest.csv is read by it, and pieces of one title are kept together.
    Overlap, divergence and AUC feature by feature, a Frechet distance, and how well a classifier tells them apart.
    Needs 20 pieces a side and scikit-learn: pip install musegen[evaluate].

    \b
    musegen evaluate compare songs/ corpus/folk --split test
    musegen evaluate compare songs/ real/ --bars 8 --html report.html
    """  # fmt: skip
    from musegen.evaluate.compare import evaluate
    from musegen.evaluate.report import summary, table, to_dict
    from musegen.evaluate.two_sample import require_classifiers

    require_classifiers()
    page = values["html"]
    _check_page(page, values)
    found = (_files(generated, ()), _files(reference, values["split"]))  # both, before either is measured
    first, second = (_measured(*pair, values) for pair in zip((generated, reference), found, strict=True))
    comparison = evaluate(first, second, seed=values["seed"])
    if page is not None:
        _write_page(comparison, page, generated, reference, values)
    if ctx.obj["json"]:
        record = {**to_dict(comparison), "html": None if page is None else str(page)}
        click.echo(json.dumps(record))
        return
    for line in summary(comparison):
        click.echo(line)
    from rich.console import Console

    # The table is wider than the 80 columns that rich takes where there is no terminal.
    Console(width=max(140, shutil.get_terminal_size().columns)).print(table(comparison))
    for word, name, likeness in comparison.chosen:
        click.echo(f"{word}: {plain(name)} ({100 * likeness:.0f} % real)")
    if page is not None:
        click.echo(str(page))


def _check_page(page: Path | None, values: dict[str, Any]) -> None:
    """Refuse, before minutes are spent, a page that could not be written."""
    if page is None:
        if values["title"] is not None or values["force"]:
            raise click.UsageError("--title and --force are for a page; say --html FILE too")
    elif page.is_dir():
        raise FileFormatError(f"{page}: is a folder; name a file")
    elif page.exists() and not values["force"]:
        raise FileFormatError(f"{page}: exists already; choose another name or say --force")


def _measured(path: Path, found: Found, values: dict[str, Any]) -> FeatureTable:
    """The features of a set; what is skipped is named and counted."""
    from dataclasses import replace

    from musegen.evaluate.features import measure_files

    files, groups, dropped = found
    table = measure_files(files, bars=values["bars"], groups=groups, workers=values["workers"] or os.cpu_count() or 1)
    table = replace(table, skipped={**dropped, **table.skipped})
    for name, reason in table.skipped.items():
        say(f"{name}: {reason}; skipped")
    say(f"{path}: {plural(len(table), 'piece')}, {len(table.skipped)} skipped")
    return table


def _files(path: Path, splits: Sequence[str]) -> Found:
    """The music files of a set, the work of each where its manifest tells, and why others are left out.

    Raises:
        FileFormatError: if a split is asked for and there is no manifest; RequestError if there is no file.
    """
    from musegen.corpus.manifest import read_manifest
    from musegen.evaluate.files import music_files

    if not splits and not (path / MANIFEST).is_file():
        return music_files([path]), {}, {}
    rows = [row for row in read_manifest(path) if not splits or row.split in splits]
    dropped = {str(row.file): "marked as a duplicate in the manifest" for row in rows if "duplicate" in row.tags}
    kept = [row for row in rows if str(row.file) not in dropped]
    if not kept:
        raise FileFormatError(f"{path / MANIFEST}: lists no piece of that split; choose another --split")
    titles = {str(row.file): f"title {row.title}" for row in kept if row.title}
    return [row.file for row in kept], titles, dropped


def _write_page(comparison: Comparison, page: Path, generated: Path, reference: Path, values: dict[str, Any]) -> None:
    from importlib.metadata import version

    from musegen import __version__
    from musegen.evaluate.page import html_page, pictures
    from musegen.score.formats import read, write_bytes

    words = ["musegen", "evaluate", "compare", str(generated), str(reference)]
    for split in values["split"]:
        words += ["--split", split]
    words += ["--bars", str(values["bars"]), "--seed", str(values["seed"])]
    versions = f"musegen {__version__}, NumPy {version('numpy')}, scikit-learn {version('scikit-learn')}"
    text = html_page(
        comparison,
        title=values["title"] or f"{generated.name} against {reference.name}",
        pictures=pictures(comparison, lambda name: read(name, warn=lambda _: None)),
        made=(("Command", shlex.join(words)), ("Seed", str(values["seed"])), ("Versions", versions)),
    )
    write_bytes(text.encode("utf-8"), page, force=values["force"])
