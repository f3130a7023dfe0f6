"""A click group that imports a command when it is called, so that `--help` loads nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """A group whose commands live in modules of their names (continue in continue_), each as `command`.

    Args:
        table: each command and its line in the group's help.
        package: where the modules are.
    """

    def __init__(self, *args: Any, table: Mapping[str, str], package: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.table, self.package = table, package

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """The names, without importing anything."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # likewise
        """Import one command."""
        if cmd_name not in self.table:
            return None
        module = import_module(f"{self.package}.{cmd_name}{'_' * (cmd_name == 'continue')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # likewise
        """The list of commands from the table."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self.table.items()))
