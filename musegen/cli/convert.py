"""The command `musegen convert`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from musegen.cli import files
from musegen.cli import options as opt


@click.command("convert")
@click.argument("file")
@opt.options(files.READING, files.OUTPUT)
def command(file: str, **values: Any) -> None:
    """Write FILE in another format, with nothing changed that both formats can hold.

    \b
    musegen convert song.mid -o song.musicxml
    musegen convert tune.abc --expand-repeats -o tune.mid
    """
    from musegen.score.timing import n_bars

    name = "piece" if file == "-" else Path(file).stem
    [path] = files.targets(values["output"], name, 1, force=values["force"])
    options = files.writing(values, [path])
    score = files.read_input(file, files.reading(values, file))
    files.write_piece(score, path, options, force=values["force"])
    counts = {"bars": n_bars(score), "notes": score.n_notes}
    if click.get_current_context().obj["json"]:
        click.echo(json.dumps({"files": [path and str(path)], **counts}), err=path is None)
    elif path is not None:
        click.echo(str(path))
    files.say(", ".join(files.plural(count, what[:-1]) for what, count in counts.items()))
