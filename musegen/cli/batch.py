"""The command `musegen batch`."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import click

from musegen.cli import options as opt
from musegen.errors import FileFormatError, RequestError

INTEGERS = ("bars", "polyphony", "density", "top_k", "beams", "seed")
NUMBERS = ("tempo", "temperature", "top_p", "min_p", "typical_p", "repetition_penalty")
WORDS = ("style", "key", "meter", "scale", "range", "motif", "search")
COLUMNS = (*WORDS, *INTEGERS, *NUMBERS, "instrument")


@click.command("batch")
@click.argument("plan", required=False)
@click.option("--count", type=click.IntRange(1, 100_000), help="How many pieces, where there is no PLAN.")
@click.option("--bars", type=click.IntRange(1, 256), default=16, show_default=True, help="How many bars, exactly.")
@opt.options(opt.FRAME, opt.MUSIC, opt.OUTPUT, opt.SAMPLES[1:], opt.SAMPLING, opt.MODEL)
def command(plan: str | None, count: int | None, **values: Any) -> None:
    """Write many pieces into a folder; killed and called again, it goes on and ends the same.

    PLAN is a .csv, .jsonl or .yaml file, a request a row, its columns named as the options of compose (instruments
    apart by semicolons); the options given here hold where a row says nothing. What became of each piece stands in
    manifest.jsonl in the folder.

    \b
    musegen batch --count 50 --style folk --seed 1 -o songs/
    musegen batch plan.csv -o songs/
    """
    from musegen.compose import load
    from musegen.compose.batch import read_manifest, run_batch

    ctx = click.get_current_context()
    if (plan is None) == (count is None):
        raise click.UsageError("give a PLAN or --count N, one of them", ctx)
    folder = Path(values["output"] or "songs")
    if folder.exists() and not folder.is_dir():
        raise FileFormatError(f"{folder}: is a file; -o names a folder here")
    rows = read_plan(Path(plan)) if plan is not None else [{} for _ in range(count or 0)]
    earlier = read_manifest(folder)
    seed = earlier[0].get("seed") if values["seed"] is None and earlier and not values["force"] else values["seed"]
    seed = opt.drawn_seed(seed, len(rows))
    jobs = [job_of(values, row, i, seed + i, len(rows)) for i, row in enumerate(rows)]
    model = values["model"]
    engine = load(Path(model) if model.endswith(".safetensors") else model, threads=values["threads"])
    done = failed = kept = 0
    for result in run_batch(engine, jobs, folder, seed, force=values["force"]):
        if result.state == "failed":
            failed += 1
            opt.say(f"{result.job.file}: {result.error}")
            continue
        done, kept = done + 1, kept + result.kept
        if not ctx.obj["json"]:
            click.echo(str(folder / result.job.file))
    if ctx.obj["json"]:
        click.echo(json.dumps({"folder": str(folder), "model": engine.name, "checksum": engine.checksum, "seed": seed,
                               "done": done, "kept": kept, "failed": failed}))  # fmt: skip
    opt.say(f"{done} pieces in {folder}, {kept} of them kept from before; {failed} failed")
    if failed:
        ctx.exit(1)


def job_of(values: dict[str, Any], row: dict[str, Any], index: int, seed: int, total: int) -> Any:
    """The Job of one row: its own options over those of the command line."""
    from musegen.compose.batch import Job

    own = {("pitch_range" if key == "range" else key): value for key, value in row.items()}
    seed = own.pop("seed", seed)
    given = {**{key: value for key, value in values.items() if value is not None}, **own}
    kept = {key: value for key, value in given.items() if key not in (*opt.NOT_IN_A_PIECE, "model") and value != ()}
    record = {key: list(value) if isinstance(value, tuple) else value for key, value in kept.items()}
    name = f"song-{index + 1:0{max(3, len(str(total)))}d}.mid"
    again = opt.command_words("compose", [], {"model": values["model"], **kept}, seed)
    try:
        return Job(name, record, seed, opt.request_of(kept, seed, made_with=again))
    except (RequestError, FileFormatError) as error:
        return Job(name, record, seed, error=str(error))


def read_plan(path: Path) -> list[dict[str, Any]]:
    """The rows of a plan, with values of the right kinds and without what is left empty.

    Raises:
        FileFormatError: if the file cannot be read; RequestError for an unknown column or an unreadable row.
    """
    readers = {".csv": _read_csv, ".jsonl": _read_jsonl, ".yaml": _read_yaml, ".yml": _read_yaml}
    if path.suffix.lower() not in readers:
        raise FileFormatError(f"{path}: a plan is a .csv, .jsonl or .yaml file")
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise FileFormatError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise FileFormatError(f"{path}: cannot be read ({error})") from None
    rows = [_row(path, number, row) for number, row in enumerate(readers[path.suffix.lower()](path, text), 1)]
    if not rows:
        raise RequestError(f"{path}: the plan has no rows")
    return rows


def _read_csv(path: Path, text: str) -> list[Any]:
    try:
        rows = list(csv.DictReader(io.StringIO(text), strict=True))
    except csv.Error as error:
        raise RequestError(f"{path}: row unreadable ({error})") from None
    for number, row in enumerate(rows, 1):
        if None in row or None in row.values():
            raise RequestError(f"{path} row {number}: not as many fields as there are columns")
    return rows


def _read_jsonl(path: Path, text: str) -> list[Any]:
    rows = []
    for number, line in enumerate((line for line in text.splitlines() if line.strip()), 1):
        try:
            rows.append(json.loads(line))
        except ValueError as error:  # noqa: PERF203  # one row at a time, to name it
            raise RequestError(f"{path} row {number}: no JSON object ({error})") from None
    return rows


def _read_yaml(path: Path, text: str) -> list[Any]:
    try:
        import yaml
    except ImportError:
        raise RequestError(f"{path}: YAML needs PyYAML (pip install pyyaml); .csv and .jsonl need nothing") from None
    try:
        rows = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RequestError(f"{path}: no YAML ({error})") from None
    return rows if isinstance(rows, list) else [rows]


def _row(path: Path, number: int, row: Any) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise RequestError(f"{path} row {number}: not a set of named options")
    values: dict[str, Any] = {}
    for column, value in row.items():
        name = str(column).strip().replace("-", "_")
        if name not in COLUMNS:
            raise RequestError(f"{path} row {number}: unknown column {column!r}; there are {', '.join(COLUMNS)}")
        if value is None or value == "":
            continue
        try:
            if name in INTEGERS:
                values[name] = int(value)
            elif name in NUMBERS:
                values[name] = float(value)
            elif name == "instrument":
                values[name] = tuple(value) if isinstance(value, list) else tuple(str(value).split(";"))
            else:
                values[name] = str(value)
        except (TypeError, ValueError):
            raise RequestError(f"{path} row {number}: {column} is {value!r}, which is no number") from None
    return values
