"""The `musegen` command: a lazy group, so that `--help` loads nothing heavy, and one place where errors become exits.

Exit codes: 0 done; 2 a wrong call or unusable input, in one line; 1 anything else; 130 and 143 interrupted.
"""

from __future__ import annotations

import io
import os
import signal
import sys
import traceback
import warnings
from types import FrameType
from typing import Any, NoReturn

import click

from musegen import __version__
from musegen.cli.files import plain
from musegen.cli.lazy import LazyGroup
from musegen.errors import MusegenError, MusegenWarning

COMMANDS = {
    "batch": "Many songs into a folder; stopped at any moment, it goes on.",
    "compose": "A new piece, from a seed or from a motif.",
    "convert": "A file in another format.",
    "continue": "Keep a piece and write on.",
    "corpus": "Data to train on: from folders of music to shards.",
    "evaluate": "Measure music: metrics, distances between sets, originality, likelihood.",
    "finetune": "Fit a model to a folder of music, in minutes.",
    "harmonize": "Keep a melody, or a whole piece, and write what goes with it.",
    "infill": "Write some bars of a piece anew.",
    "info": "What a file holds, and how it was made.",
    "models": "What models there are.",
    "render": "A picture of a piece.",
    "tokenize": "A piece as the tokens that models read.",
    "train": "A new model from shards or folders of music.",
    "vary": "A variation of a piece, near to it or far.",
}
"""Each command and its line in `musegen --help`; it lives in the module of its name (continue in continue_)."""

ANYWHERE = ("--quiet", "--json", "--debug")
"""Options of `musegen` itself that are understood after the command as well."""


class Group(LazyGroup):
    """The whole command."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a reader of stdout that has left (`| head`) ends it quietly, which click calls a failure."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0


@click.group(cls=Group, table=COMMANDS, package=__name__, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--quiet", is_flag=True, help="Say nothing on stderr but errors.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout instead of paths.")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.version_option(__version__, prog_name="musegen")
@click.pass_context
def group(ctx: click.Context, quiet: bool, as_json: bool, debug: bool) -> None:
    """Write music as MIDI: compose, continue, and export songs in batches, on a plain CPU and without a network."""
    ctx.obj = {"quiet": quiet, "json": as_json, "debug": debug}
    warnings.showwarning = _silent if quiet else _show_warning  # type: ignore[assignment]  # fewer arguments named
    warnings.simplefilter("always", MusegenWarning)


def main(arguments: list[str] | None = None) -> NoReturn:
    """Run the command and exit."""
    signal.signal(signal.SIGTERM, _terminated)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")  # a path goes out as the bytes it came in as
    words = _flags_first(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    try:
        code = group.main(words, prog_name="musegen", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(2)
    except click.UsageError as error:
        where = f" (see {error.ctx.command_path} --help)" if error.ctx and error.ctx.parent else ""
        _fail(2, error.format_message() + where, debug=debug)
    except click.ClickException as error:
        _fail(2, error.format_message(), debug=debug)
    except MusegenError as error:
        _fail(2, str(error), debug=debug)
    except (KeyboardInterrupt, click.Abort):
        _fail(130, "interrupted", debug=False)
    except Exception as error:  # noqa: BLE001  # the last line of defence: no traceback reaches a user
        _fail(1, f"{type(error).__name__}: {error}; this is a defect of musegen, --debug shows where", debug=debug)
    sys.exit(code if isinstance(code, int) else 0)


def _flags_first(words: list[str]) -> list[str]:
    """The words with the options of ANYWHERE before the command."""
    end = words.index("--") if "--" in words else len(words)
    found = [word for word in words[:end] if word in ANYWHERE]
    return [*found, *(word for word in words[:end] if word not in ANYWHERE), *words[end:]]


def _fail(code: int, text: str, *, debug: bool) -> NoReturn:
    if debug:
        traceback.print_exc()
    click.echo(f"musegen: {plain(' '.join(text.split()))}", err=True)
    sys.exit(code)


def _terminated(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001  # a handler's signature
    raise SystemExit(128 + signum)  # what is half written is removed on the way out


def _show_warning(message: Warning | str, *_: object) -> None:
    click.echo(f"musegen: {plain(str(message))}", err=True)


def _silent(message: Warning | str, *_: object) -> None:
    """What --quiet shows of a warning."""
