"""The command `musegen evaluate likelihood`."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import click

from musegen.cli.files import tell_skipped


@click.command("likelihood")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=click.Path(exists=True, path_type=Path))
@click.option(
    "-m",
    "--model",
    "models",
    multiple=True,
    metavar="NAME|PATH",
    default=("transformer",),
    show_default=True,
    help="A model's name, a .safetensors file, or the folder of a training run; repeatable.",
)
@click.option(
    "--markov",
    "shards",
    type=click.Path(exists=True, path_type=Path),
    metavar="SHARDS",
    help="Also a Markov model, counted on the train split of these shards.",
)
@click.option("--order", type=click.IntRange(0, 6), default=5, show_default=True, help="Of the Markov model.")
@click.option(
    "--split",
    type=click.Choice(["train", "valid", "test"]),
    default="test",
    show_default=True,
    help="Which pieces of a folder with a manifest.csv, or of shards.",
)
@click.option(
    "--level",
    is_flag=True,
    help="Make all notes of a piece equally loud first: models that know no dynamics, as rnn, pay dearly for them.",
)
@click.option(
    "--context", type=click.IntRange(64, 4096), help="Longest window, in tokens  [default: what each model can see]."
)
@click.option("--threads", type=click.IntRange(1, 256), default=1, show_default=True, help="To compute with.")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes that read  [default: one for each core].")
@click.pass_context
def command(
    ctx: click.Context, /, paths: tuple[Path, ...], models: tuple[str, ...], shards: Path | None, order: int,
    split: str, level: bool, context: int | None, threads: int, workers: int | None,
) -> None:  # fmt: skip
    """Measure what models spend on the music in PATH...: nats per note and bits per second, for each folder.

    A PATH is a folder of music (with a manifest.csv: one split of it), a file, or shards. The lower the better; a
    figure says something only of music that the model has not been trained on.

    \b
    musegen evaluate likelihood my_songs/ --level
    musegen evaluate likelihood data/folk data/bach_m21 -m transformer -m rnn --markov shards --split test
    """
    import torch

    from musegen.evaluate.likelihood import markdown_table
    from musegen.train.held_out import gather, measured

    torch.set_num_threads(threads)
    held_out = gather(paths, split, level=level, workers=workers or os.cpu_count() or 1)
    tell_skipped(held_out.skipped, len(held_out.pieces), "measured")
    results = measured(held_out.pieces, models, markov_of=shards, order=order, context=context)
    if ctx.obj["json"]:
        figures = {
            model: {
                source: {**asdict(m), "nats_per_note": m.nats_per_note, "bits_per_second": m.bits_per_second}
                for source, m in by_source.items()
            }
            for model, by_source in results.items()
        }
        click.echo(json.dumps({"models": figures, "skipped": dict(held_out.skipped)}))
        return
    click.echo("nats per note\n\n" + markdown_table(results))
    click.echo("\nbits per second of music\n\n" + markdown_table(results, unit="bits_per_second"))
