"""The command `musegen tokenize`."""

from __future__ import annotations

import itertools
import json
from typing import Any

import click

from musegen.cli import options as opt
from musegen.cli.files import READING, read_input, reading, say


@click.command("tokenize")
@click.argument("file")
@click.option("--ids", is_flag=True, help="Numbers instead of names.")
@click.option("--style", help="The style to say in the head.")
@opt.options(READING)
@click.pass_context
def command(ctx: click.Context, /, file: str, ids: bool, style: str | None, **values: Any) -> None:
    """Show FILE as models read it, a bar a line.

    \b
    musegen tokenize jig.mid
    musegen --json tokenize jig.mid --style folk
    """
    from musegen.tokens import Controls, Remi

    tokenizer = Remi()
    score = read_input(file, reading(values, file))
    encoded = tokenizer.encode(score, Controls(style=style))
    tokens = encoded.tolist()
    words = [str(token) if ids else tokenizer.vocabulary.names[token] for token in tokens]
    if ctx.obj["json"]:
        record = {"file": file, "tokenizer": tokenizer.name, "vocabulary": tokenizer.vocabulary.fingerprint,
                  "notes": score.n_notes, "count": len(tokens), "tokens": tokens if ids else words}  # fmt: skip
        click.echo(json.dumps(record))
        return
    breaks = [0, *tokenizer.bar_offsets(encoded).tolist(), len(words)]
    for start, stop in itertools.pairwise(breaks):
        click.echo(" ".join(words[start:stop]))
    say(f"{len(tokens)} tokens, {score.n_notes} notes, {len(tokens) / max(1, score.n_notes):.2f} tokens a note")
