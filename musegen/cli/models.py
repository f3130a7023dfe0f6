"""The command `musegen models`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from musegen.cli.files import plain


@click.group("models")
def command() -> None:
    """What models there are, what they learned from, under which licence, and how good they are.

    \b
    musegen models list
    musegen models show transformer
    """


@command.command("list")
@click.pass_context
def list_models(ctx: click.Context) -> None:
    """The models that can be named with -m."""
    from musegen import checkpoint

    cards = {name: checkpoint.card(name) for name in checkpoint.names()}
    if ctx.obj["json"]:
        click.echo(json.dumps(cards))
        return
    for name, card in cards.items():
        click.echo(f"{name:14} {card.get('description', '')}")


@command.command("show")
@click.argument("name")
@click.pass_context
def show(ctx: click.Context, name: str) -> None:
    """All that the card of NAME (or of a .safetensors file) says."""
    from musegen import checkpoint

    path = Path(name) if name.endswith(".safetensors") else name
    card = {"checksum": checkpoint.checksum(path), **checkpoint.card(path)}
    if ctx.obj["json"]:
        click.echo(json.dumps(card))
        return
    for key, value in card.items():
        shown = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        click.echo(f"{plain(key)}: {plain(shown)}")
