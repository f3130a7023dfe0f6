"""What 8 bits cost in likelihood: nats a note on valid, in single precision by torch and in 8 bits by the kernel."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from musegen import checkpoint
from musegen.engine import Decoder
from musegen.evaluate.likelihood import Array, Sequences, evaluate
from musegen.tokens import Remi

from .common import Figures, markdown


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say what it can be told."""
    parser.add_argument("shards", type=Path)
    parser.add_argument("--pieces", type=int, default=8, help="of each source (default 8)")


def scorer(network: Decoder) -> Callable[[Sequences], list[Array]]:
    """The decoder as musegen.evaluate.likelihood asks for a model."""

    def score(sequences: Sequences) -> list[Array]:
        losses = []
        for ids, attributes in sequences:
            every = np.arange(len(ids))
            cache = network.new_cache(1, len(ids))
            logits = network.read(cache, ids, attributes, np.zeros(len(ids), np.int64), every, every).astype(np.float64)  # type: ignore[arg-type]
            logits -= logits.max(axis=-1, keepdims=True)
            chosen = logits[every[:-1], ids[1:].astype(np.int64)]
            losses.append(np.log(np.exp(logits[:-1]).sum(axis=-1)) - chosen)
        return losses

    return score


def measure(options: argparse.Namespace) -> Figures:
    """Nats a note by source."""
    import torch

    from musegen.corpus.shards import load_split
    from musegen.train.objective import scorer as exact
    from musegen.train.trainer import steering_pieces

    torch.set_num_threads(1)
    model, _ = checkpoint.load("transformer")
    network, _ = checkpoint.load_decoder("transformer")
    pieces = steering_pieces(load_split(options.shards, "valid", Remi().vocabulary.fingerprint), options.pieces, 1024)
    context = model.config.context
    both = {"single": evaluate(exact(model), pieces, context), "8 bits": evaluate(scorer(network), pieces, context)}
    return {
        "pieces": len(pieces),
        "nats_per_note": {name: {k: v.nats_per_note for k, v in by.items()} for name, by in both.items()},
    }


def table(result: Figures) -> Iterator[str]:
    """A line a source."""
    single, eight = result["nats_per_note"].values()
    lines = [
        [name, f"{single[name]:.4f}", f"{eight[name]:.4f}", f"{100 * (eight[name] / single[name] - 1):+.2f} %"]
        for name in single
    ]
    yield from markdown(["source", "single precision", "8 bits", "difference"], lines)
