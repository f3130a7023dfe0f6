"""The command `musegen batch`."""

from __future__ import annotations

import csv
import io
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from musegen.cli import files
from musegen.cli import options as opt
from musegen.errors import FileFormatError, RequestError

if TYPE_CHECKING:
    from musegen.compose.batch import Job, Settled

INTEGERS = ("bars", "polyphony", "density", "top_k", "beams", "max_copy", "seed", "steps")
NUMBERS = ("tempo", "temperature", "top_p", "min_p", "typical_p", "repetition_penalty", "guidance")
WORDS = ("style", "key", "meter", "scale", "voice_leading", "range", "chords", "motif", "search", "sampler")
COLUMNS = (*WORDS, *INTEGERS, *NUMBERS, "instrument")


@click.command("batch")
@click.argument("plan", required=False)
@click.option("--count", type=click.IntRange(1, 100_000), help="How many pieces, where there is no PLAN.")
@click.option("--bars", type=click.IntRange(1, 256), default=16, show_default=True, help="How many bars, exactly.")
@opt.options(opt.FRAME, opt.MUSIC, opt.SAMPLES[1:], opt.COPYING, opt.SAMPLING, opt.MODEL)
@click.option("--workers", type=click.IntRange(1, 256), help="Processes that compose  [default: one for each CPU]")
@click.option("-o", "--output", default="songs", show_default=True, help="The folder.")
@click.option("--force", is_flag=True, help="Start anew in a folder that holds another batch.")
def command(plan: str | None, count: int | None, workers: int | None, **values: Any) -> None:
    """Write many pieces into a folder; killed and called again, it goes on and ends the same.

    PLAN is a .csv, .jsonl or .yaml file, a request a row, its columns named as the options of compose (instruments
    apart by semicolons); the options given here hold where a row says nothing. What became of each piece stands in
    manifest.jsonl in the folder.

    \b
    musegen batch --count 50 --style folk --seed 1 -o songs/
    musegen batch plan.csv -o songs/
    """
    from musegen.checkpoint import architecture
    from musegen.compose import load
    from musegen.compose.batch import read_manifest, run_batch

    ctx = click.get_current_context()
    if (plan is None) == (count is None):
        raise click.UsageError("give a PLAN or --count N, one of them", ctx)
    folder = Path(values["output"])
    if values["output"] == "-":
        raise FileFormatError("-o -: stdout holds one piece; -o names a folder here")
    if folder.exists() and not folder.is_dir():
        raise FileFormatError(f"{folder}: is a file; -o names a folder here")
    began = time.monotonic()
    rows = read_plan(Path(plan)) if plan is not None else [{} for _ in range(count or 0)]
    seed = values["seed"]
    if seed is None and not values["force"]:
        seed = seed_of(read_manifest(folder), rows)
    seed = opt.drawn_seed(seed, len(rows))
    model = opt.model_of(values["model"])
    kind = architecture(model)
    jobs = [job_of(values, row, i, seed + i, total=len(rows), kind=kind) for i, row in enumerate(rows)]
    engine = load(model, threads=values["threads"])
    results: list[Settled] = []
    with opt.progress_bar(len(jobs), "pieces") as advance:
        for result in run_batch(engine, jobs, folder, force=values["force"], workers=workers or os.cpu_count() or 1):
            results.append(result)
            advance()
            if result.state == "failed":
                files.say(f"{result.job.file}: {result.error}")
            elif not ctx.obj["json"]:
                click.echo(str(folder / result.job.file))
    done = [result for result in results if result.state == "done"]
    kept, failed = sum(result.kept for result in done), len(results) - len(done)
    if ctx.obj["json"]:
        record = {"files": sorted(str(folder / result.job.file) for result in done), "seed": seed,
                  "model": engine.name, "checksum": engine.checksum, "bars": sum(result.bars for result in done),
                  "notes": sum(result.notes for result in done), "seconds": round(time.monotonic() - began, 2),
                  "done": len(done), "kept": kept, "failed": failed,
                  "redraws": sum(result.redraws for result in done)}  # fmt: skip
        click.echo(json.dumps(record))
    files.say(f"{files.plural(len(done), 'piece')} in {folder}, {kept} of them kept from before; {failed} failed")
    opt.say_redraws([result.redraws for result in done])
    if failed:
        ctx.exit(1)


def seed_of(manifest: list[dict[str, Any]], rows: list[dict[str, Any]]) -> int | None:
    """The seed that an interrupted run drew: the first row that names no seed of its own tells it."""
    for i, (line, row) in enumerate(zip(manifest, rows, strict=False)):
        if "seed" not in row and isinstance(line.get("seed"), int) and line["seed"] >= i:
            return int(line["seed"]) - i
    return None


def job_of(values: dict[str, Any], row: dict[str, Any], index: int, seed: int, *, total: int, kind: str) -> Job:
    """The Job of one row: its own options over those of the command line; `kind` is the model's architecture."""
    from musegen.compose.batch import Job

    own = {("pitch_range" if key == "range" else key): value for key, value in row.items()}
    seed = own.pop("seed", seed)
    wishes = {**opt.given(values), **own}
    asked = {key: value for key, value in {**values, **own}.items() if key in opt.REQUEST_ORDER and key != "model"}
    record = {
        "range" if key == "pitch_range" else key: list(value) if isinstance(value, tuple) else value
        for key, value in asked.items()
        if value is not None and value != ()
    }
    name = f"song-{index + 1:0{max(3, len(str(total)))}d}.mid"
    try:
        opt.refuse_idle(wishes)
        opt.refuse_foreign(values["model"], kind, wishes)
        request = opt.request_of(asked, seed, made_with=opt.command_line("compose", [], wishes, seed))
    except (RequestError, FileFormatError) as error:
        return Job(name, record, seed, error=str(error))
    return Job(name, record, seed, request)


def read_plan(path: Path) -> list[dict[str, Any]]:
    """The rows of a plan, with values of the right kinds and without what is left empty.

    Raises:
        FileFormatError: if the file cannot be read; RequestError for an unknown column or an unreadable row.
    """
    readers = {".csv": _read_csv, ".jsonl": _read_jsonl, ".yaml": _read_yaml, ".yml": _read_yaml}
    if path.suffix.lower() not in readers:
        raise FileFormatError(f"{path}: a plan is a .csv, .jsonl or .yaml file")
    try:
        text = path.read_text(encoding="utf-8-sig")  # spreadsheets put a mark before the first column's name
    except FileNotFoundError:
        raise FileFormatError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise FileFormatError(f"{path}: cannot be read ({error})") from None
    rows = [_row(path, number, row) for number, row in enumerate(readers[path.suffix.lower()](path, text), 1)]
    if not rows:
        raise RequestError(f"{path}: the plan has no rows")
    return rows


def _read_csv(path: Path, text: str) -> list[Any]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    rows: list[Any] = []
    try:
        columns = list(reader.fieldnames or ())
        rows.extend(reader)
    except csv.Error as error:
        raise RequestError(f"{path} row {len(rows) + 1}: unreadable ({error})") from None
    twice = [name for name in columns if columns.count(name) > 1]
    if twice:
        raise RequestError(f"{path}: the column {twice[0]!r} is there twice")
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
    if not isinstance(rows, list):
        raise RequestError(f"{path}: a plan in YAML is a list of rows, each beginning with a dash")
    return rows


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
            values[name] = _value(name, value)
        except (TypeError, ValueError):
            kind = "no whole number" if name in INTEGERS else "no number"
            raise RequestError(f"{path} row {number}: {column} is {value!r}, which is {kind}") from None
    return values


def _value(name: str, value: Any) -> Any:
    """A cell as its option has it; raises ValueError or TypeError if it is no such thing."""
    if isinstance(value, bool):
        raise TypeError(value)
    if name in INTEGERS:
        if isinstance(value, float) and not value.is_integer():
            raise ValueError(value)
        return int(value)
    if name in NUMBERS:
        return float(value)
    if name == "instrument":
        words = value if isinstance(value, list) else str(value).split(";")
        return tuple(str(word).strip() for word in words)
    return str(value)
