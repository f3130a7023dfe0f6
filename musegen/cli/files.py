"""What commands share about files: how they are read, named and written, and what is said of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from musegen.errors import FileFormatError, RequestError

if TYPE_CHECKING:
    from musegen.score.formats import ReadOptions, WriteOptions
    from musegen.score.model import Score

READING = (
    click.option("--expand-repeats", is_flag=True, help="Play what notation repeats as often as it says."),
    click.option("--limit", multiple=True, metavar="NAME=NUMBER",
                 help="Allow a file more than the usual, such as bars=50000 (docs/formats.md lists the names)."),
)  # fmt: skip
OUTPUT = (
    click.option("-o", "--output", type=str, help="Where to; the suffix chooses the format (.mid, .musicxml, .mxl, "
                 ".abc, .json, .png), - is MIDI on stdout."),
    click.option("--midi-format", type=click.Choice(["0", "1"]),
                 help="Of a .mid: 1, a track for each part, or 0, all in one  [default: 1]."),
    click.option("--force", is_flag=True, help="Write over what exists."),
)  # fmt: skip


def reading(values: Mapping[str, Any], file: str) -> ReadOptions:
    """What the options of READING ask for, of this file.

    Raises:
        RequestError: for a limit that cannot be read, or repeats of a format that has none.
    """
    from musegen.score.formats import REPEATING, Limits, ReadOptions

    if values["expand_repeats"] and file != "-" and Path(file).suffix.lower() not in REPEATING:
        raise RequestError(f"--expand-repeats does nothing for {file}; only {', '.join(REPEATING)} have repeats")
    return ReadOptions(Limits().raised(values["limit"]), values["expand_repeats"])


def writing(values: Mapping[str, Any], paths: Sequence[Path | None]) -> WriteOptions:
    """What the options of OUTPUT ask for, of these targets.

    Raises:
        RequestError: for a MIDI format where no MIDI is written.
    """
    from musegen.score.formats import MIDI_SUFFIXES, WriteOptions

    if values["midi_format"] is None:
        return WriteOptions()
    for path in paths:
        if path is not None and path.suffix.lower() not in MIDI_SUFFIXES:
            raise RequestError(f"--midi-format does nothing for {path}, which is no MIDI file; leave it out")
    return WriteOptions(midi_format=int(values["midi_format"]))


def read_input(file: str, options: ReadOptions | None = None, *, warn: Callable[[str], None] | None = None) -> Score:
    """The piece in a file, or, for "-", on stdin; `warn` as in `read`.

    Raises:
        FileFormatError: as `read`.
    """
    from musegen.score.formats import from_bytes, read

    if file != "-":
        return read(file, warn=warn, options=options)
    try:
        return from_bytes(sys.stdin.buffer.read(), warn=warn or say, options=options)
    except FileFormatError as error:
        raise FileFormatError(f"stdin: {error}") from None


def targets(output: str | None, name: str, samples: int, *, force: bool) -> list[Path | None]:
    """Where each sample goes (None is stdout); checked before anything is composed.

    Raises:
        FileFormatError: for an unknown suffix, a file that exists and not `force`, or a place that cannot hold one.
    """
    from musegen.score.formats import WRITABLE

    if output == "-":
        if samples > 1:
            raise RequestError(f"stdout holds one piece, not {samples}; give -o a folder or a name")
        return [None]
    path = Path(output or f"{name}.mid")
    folder = path.is_dir() or (output or "").endswith("/") or (samples > 1 and not path.suffix)
    first = path / f"{name}.mid" if folder else path
    if first.suffix.lower() not in (*WRITABLE, ".png"):
        raise FileFormatError(f"{path}: the suffix must be one of {', '.join((*WRITABLE, '.png'))}")
    paths = [first] if samples == 1 else [
        first.with_name(f"{first.stem}-{i:03d}{first.suffix}") for i in range(1, samples + 1)
    ]  # fmt: skip
    for target in paths:
        if target.is_dir():
            raise FileFormatError(f"{target}: is a folder; choose another name")
        if target.exists() and not force:
            raise FileFormatError(f"{target}: exists already; choose another name or say --force")
    for parent in first.parents:
        if parent.exists() and not parent.is_dir():
            raise FileFormatError(f"{first}: {parent} is a file, not a folder; choose another name")
    return [*paths]


def write_piece(score: Score, path: Path | None, options: WriteOptions, *, force: bool) -> None:
    """Write one piece in the format of the path's suffix; None is MIDI on stdout."""
    from musegen.score.formats import to_bytes, write

    if path is None:
        sys.stdout.buffer.write(to_bytes(score, warn=say, options=options))
        sys.stdout.buffer.flush()
    elif path.suffix.lower() == ".png":
        from musegen.render.image import write_png

        write_png(score, path, force=force)
    else:
        write(score, path, force=force, options=options)


def say(text: str) -> None:
    """A line on stderr, unless --quiet."""
    if not click.get_current_context().obj["quiet"]:
        click.echo(plain(text), err=True)


def tell_skipped(skipped: Mapping[str, str], found: int, done: str) -> None:
    """Name what was skipped, with the reason, and count it beside the `found` pieces that were `done` ("measured").

    Raises:
        RequestError: if nothing is left.
    """
    if not found and len(skipped) == 1:
        raise RequestError(": ".join(next(iter(skipped.items()))))
    for file, reason in skipped.items():
        say(f"skipped {file}: {reason}")
    if not found:
        raise RequestError(f"none of {len(skipped)} files could be {done}; each is named with the reason above")
    if skipped:
        say(f"{plural(found, 'piece')} {done}, {plural(len(skipped), 'file')} skipped")


def plain(text: str) -> str:
    """The text without control characters, which a file could send to the terminal."""
    return "".join(c if c.isprintable() else "?" for c in text)


def plural(count: int, what: str) -> str:
    """The count with its noun: "1 bar", "2 bars"."""
    return f"{count} {what}{'s' * (count != 1)}"
