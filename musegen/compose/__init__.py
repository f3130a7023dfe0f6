"""Composing: a Request in, a Score out, whichever engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from musegen import checkpoint
from musegen.compose.autoregressive import AutoregressiveComposer
from musegen.compose.events import Piece, Progress
from musegen.compose.request import Denoising, Request
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
    checksum, name = checkpoint.checksum(model), str(model)
    if checkpoint.architecture(model) == "dit":
        from musegen.compose.diffusion import DiffusionComposer  # with torch, which tokens do without

        return DiffusionComposer(name, *checkpoint.load_denoiser(model, threads=threads or 1), checksum)
    network, card = checkpoint.load_decoder(model, threads=threads or 1)
    return AutoregressiveComposer(name, network, network.config.context, card, checksum)


__all__ = ["Composer", "Denoising", "Piece", "Progress", "Request", "Score", "load"]
