"""The command `musegen finetune`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from musegen.cli.corpus.build import Progress
from musegen.cli.files import say
from musegen.cli.options import model_of, options
from musegen.cli.train import RUN, budget_of, check_outputs, leave, say_lines, tell_built, tell_written
from musegen.errors import RequestError


@click.command("finetune")
@click.argument("folders", nargs=-1, required=True, metavar="DIR...", type=click.Path(exists=True, path_type=Path))
@click.option(
    "-m", "--model", default="transformer", show_default=True, help="What to begin from: a name or a .safetensors file."
)
@options(RUN[:1])
@click.option("--lora", is_flag=True, help="Train small adapters beside the weights: a small file that names its base.")
@click.option("--rank", type=click.IntRange(1, 256), help="Of the adapters  [default: 8].")
@click.option(
    "--style",
    default="user-1",
    show_default=True,
    help="What the new music is called; compose takes it when nothing else is asked for.",
)
@click.option("--budget", help="Longest time to train for, such as 90s, 5m, 1h  [default: 5m].")
@options(RUN[1:])
@click.option(
    "--valid-share",
    type=click.FloatRange(0.01, 0.5),
    default=0.1,
    show_default=True,
    help="Of the works that are held out to measure on; one at least.",
)
@click.option(
    "--lr",
    type=click.FloatRange(0, 1, min_open=True),
    help="Peak learning rate  [default: higher for --lora than for all weights].",
)
@click.option(
    "--context", type=click.IntRange(128, 8192), default=512, show_default=True, help="Longest example in tokens."
)
@click.option("--batch-tokens", type=click.IntRange(128), default=2048, show_default=True, help="Tokens a step.")
@click.pass_context
def command(
    ctx: click.Context, /, folders: tuple[Path, ...], model: str, output: Path, lora: bool, rank: int | None,
    style: str, budget: str | None, steps: int | None, seed: int, device: str, threads: int | None,
    run_folder: Path | None, force: bool, valid_share: float, lr: float | None, context: int, batch_tokens: int,
) -> None:  # fmt: skip
    """Fit a model to the music in DIR..., in minutes; says what it spends on such music before and after.

    What is left out is counted with the reason. Eight times on the way it is measured on works held out; the weights
    of the best measure are kept, and after three in a row that are no better it ends before its time. The result is
    used as any model: musegen compose -m mine.safetensors. Stopped (Ctrl-C, SIGTERM) or killed, it goes on when called
    again.

    \b
    musegen finetune my_songs/ -o mine.safetensors
    musegen finetune my_songs/ --lora --budget 10m -o small.safetensors
    """
    import torch

    from musegen.evaluate.likelihood import markdown_table
    from musegen.train import session
    from musegen.train.distributed import joined
    from musegen.train.finetune import FinetuneConfig, finetune

    check_outputs(output, force=force)
    if rank is not None and not lora:
        raise RequestError("--rank does nothing without --lora; say --lora, or leave it out")
    torch.set_num_threads(threads or os.cpu_count() or 1)
    config = FinetuneConfig(
        seconds=budget_of(budget, steps, "5m"), steps=steps or 0, lora_rank=(rank or 8) if lora else 0, lr=lr,
        style=style, valid_percent=round(100 * valid_share), context=context, batch_tokens=batch_tokens, seed=seed,
        workers=os.cpu_count() or 1,
    )  # fmt: skip
    folder = run_folder or output.with_suffix(".run")
    base = model_of(model)
    with joined(device) as place:
        done = finetune(
            folders, base, output, config, folder, place, report=say, advance=Progress(), built=tell_built
        )  # fmt: skip
        if isinstance(done, int):
            leave(done)
    say_lines(markdown_table({"before": done.before, "after": done.after}))
    written = [output, output.with_suffix(".md"), *session.put_beside(folder, output)]
    if run_folder is None:
        session.clear(folder)
    told = ("base", "method", "steps", "best_step", "stopped_early", "seconds", "tokens", "pieces", "skipped",
            "nats_per_note")  # fmt: skip
    tell_written(ctx, written, {name: done.card[name] for name in told})
