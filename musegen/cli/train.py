"""The command `musegen train`, and what `musegen finetune` shares with it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from musegen.cli.corpus.build import Progress
from musegen.cli.corpus.report import print_tables
from musegen.cli.files import say
from musegen.cli.options import options
from musegen.errors import FileFormatError, RequestError

F = TypeVar("F", bound=Callable[..., Any])

RUN = (
    click.option("-o", "--output", required=True, type=click.Path(path_type=Path),
                 help="The weights, a .safetensors file; card (.md), log (.csv) and loss curve (.png) go beside it."),
    click.option("--steps", type=click.IntRange(1), help="Optimizer steps, instead of --budget."),
    click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="What decides every draw."),
    click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True,
                 help="Where it runs; auto takes an accelerator if there is one."),
    click.option("--threads", type=click.IntRange(1, 256), help="To compute with  [default: one for each core]."),
    click.option("--run", "run_folder", type=click.Path(file_okay=False, path_type=Path),
                 help="Folder of the run, which goes on if it holds one  [default: the output's name with .run, "
                 "removed at the end]."),
    click.option("--force", is_flag=True, help="Write over what exists."),
)  # fmt: skip
"""Options of a run."""


@click.command("train")
@click.argument("data", nargs=-1, required=True, metavar="DATA...", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--preset",
    default="small",
    show_default=True,
    metavar="NAME",
    help="Size of the network: tiny, tiny-lstm, small, base, ship, lstm.",
)
@click.option("--budget", help="Time to train for, such as 90s, 50m, 1.5h  [default: 50m].")
@options(RUN)
@click.option("--style", help="The style of folders of music that are no known source  [default: none].")
@click.option("--licence", default="not stated", show_default=True, help="Of the weights, for their card.")
@click.option("--save-every", default="3m", show_default=True, help="Between two saves and measures.")
@click.option("--model-option", multiple=True, metavar="NAME=VALUE", help="Of the network, such as n_layer=4.")
@click.option("--train-option", multiple=True, metavar="NAME=VALUE", help="Of the run, such as lr=0.002.")
@click.pass_context
def command(
    ctx: click.Context, /, data: tuple[Path, ...], preset: str, budget: str | None, output: Path, steps: int | None,
    seed: int, device: str, threads: int | None, run_folder: Path | None, force: bool, style: str | None,
    licence: str, save_every: str, model_option: tuple[str, ...], train_option: tuple[str, ...],
) -> None:  # fmt: skip
    """Train a model on DATA..., one folder of shards or folders of music, for a given time.

    Folders of music are built into shards first; what is left out is counted with the reason. The learning rate ends
    its course with the budget. Stopped (Ctrl-C, SIGTERM) or killed, it goes on when called again.

    \b
    musegen train my_songs/ -o mine.safetensors --budget 30m
    musegen train shards -o big.safetensors --preset base --budget 8h --run runs/big
    """
    import torch

    from musegen import checkpoint
    from musegen.corpus.build import BuildConfig
    from musegen.corpus.shards import load_split
    from musegen.corpus.splits import Shares
    from musegen.train import session
    from musegen.train.config import parse_seconds
    from musegen.train.distributed import joined
    from musegen.train.loader import default_workers
    from musegen.train.ship import ship
    from musegen.train.state import STATE_FILE, load_state
    from musegen.train.trainer import Habits

    check_outputs(output, force=force)
    torch.set_num_threads(threads or os.cpu_count() or 1)
    folder = run_folder or output.with_suffix(".run")
    wishes = session.Wishes(
        preset, budget_of(budget, steps, "50m"), steps or 0, seed,
        session.assignments(model_option), session.assignments(train_option),
    )  # fmt: skip
    saving = parse_seconds(save_every)
    asked = {**vars(wishes), "data": [str(path.resolve()) for path in data], "style": style}
    labels = BuildConfig(style=style, workers=os.cpu_count() or 1, shares=Shares(some_valid=True))
    with joined(device) as place, session.claimed(folder, asked):
        begun = session.new_run(wishes, place)  # before the long work: a wrong option is told at once
        shards, info = session.shards_of(data, folder, labels, Progress())
        if shards not in data:
            tell_built(info)
        learned, valid, test = (load_split(shards, split) for split in ("train", "valid", "test"))
        run = load_state(folder, place) if (folder / STATE_FILE).exists() else begun
        say(f"{run.model.n_parameters:,} parameters on {place.device}, from step {run.step}")
        habits = Habits(save_seconds=saving, workers=default_workers(place))
        held_out, stopped = session.carry_on(run, learned, valid, folder, habits, report=say)
        if stopped:
            leave(stopped)
        table = ship(run, output, info, learned, valid, test, session.machine(place), licence, measured=held_out)
    say_lines(table)
    written = [output, output.with_suffix(".md"), *session.put_beside(folder, output)]
    if run_folder is None:
        session.clear(folder)
    told = {"steps": run.step, "seconds": round(run.seconds, 1), "tokens": run.tokens, "skipped": info["dropped"],
            "nats_per_note": checkpoint.card(output)["nats_per_note"]}  # fmt: skip
    tell_written(ctx, written, told)


def budget_of(budget: str | None, steps: int | None, usual: str) -> float:
    """Seconds of the budget, 0 where steps are given.

    Raises:
        RequestError: for both, or a time that cannot be read.
    """
    from musegen.train.config import parse_seconds

    if steps is None:
        return parse_seconds(budget or usual)
    if budget is not None:
        raise RequestError("--budget and --steps: give one of them")
    return 0.0


def check_outputs(output: Path, *, force: bool) -> None:
    """Refuse what could not be written at the end, before anything is begun.

    Raises:
        FileFormatError: for another suffix than .safetensors, or a file that exists and not `force`.
    """
    if output.suffix != ".safetensors":
        raise FileFormatError(f"{output}: the suffix of weights is .safetensors")
    for suffix in (".safetensors", ".md", ".csv", ".png"):
        target = output.with_suffix(suffix)
        if target.is_dir():
            raise FileFormatError(f"{target}: is a folder; choose another name")
        if target.exists() and not force:
            raise FileFormatError(f"{target}: exists already; choose another name or say --force")


def tell_built(info: dict[str, Any]) -> None:
    """What was kept, and what was left out and why, on stderr."""
    if not click.get_current_context().obj["quiet"]:
        print_tables(info, ("kept", "left out"), err=True)


def say_lines(text: str) -> None:
    """Lines on stderr, unless --quiet."""
    for line in text.splitlines():
        say(line)


def leave(stopped: int) -> NoReturn:
    """End as a signal ends a command, its run saved."""
    say(f"stopped by {signal.Signals(stopped).name}, saved; the same command goes on from there")
    raise SystemExit(128 + stopped)


def tell_written(ctx: click.Context, written: Sequence[Path], told: dict[str, Any]) -> None:
    """The paths, or with --json one object, on stdout."""
    if ctx.obj["json"]:
        click.echo(json.dumps({"files": [str(path) for path in written], **told}))
        return
    for path in written:
        click.echo(path)
