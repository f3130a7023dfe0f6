"""Composing: a Request in, a Score out, whichever engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from musegen import checkpoint
from musegen.compose.autoregressive import AutoregressiveComposer, Piece, Progress
from musegen.compose.request import Request
from musegen.score.model import Score


class Composer(Protocol):
    """What every engine offers."""

    name: str
    checksum: str
    styles: tuple[str, ...]
    card: dict[str, Any]

    def stream(self, requests: Sequence[Request], /) -> Iterator[Progress | Piece]:
        """Compose, telling of progress and giving each piece as it ends."""

    def compose(self, requests: Sequence[Request], /) -> list[Score]:
        """The piece of each request."""


def load(model: str | Path = "transformer", *, threads: int | None = None) -> Composer:
    """The composer of a shipped model or of a .safetensors file.

    Args:
        model: a name out of `musegen models list`, or a path.
        threads: how many threads to compute with; one if None, since two beside a busy program are far slower.

    Raises:
        ModelError: if there is no such model or its file is damaged.
    """
    network, card = checkpoint.load_decoder(model, threads=threads or 1)
    return AutoregressiveComposer(str(model), network, network.config.context, card, checkpoint.checksum(model))


__all__ = ["Composer", "Piece", "Progress", "Request", "Score", "load"]
