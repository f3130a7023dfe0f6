"""The training loss, and a model as a scorer of held-out pieces.

Letters: B rows, T tokens, A attributes, V ids.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from musegen.evaluate.likelihood import Array, Scorer, Sequences
from musegen.models import Model
from musegen.train.data import Batch, Example, collate


def loss(model: Model, batch: Batch) -> Tensor:
    """Mean cross entropy in nats a token; targets of -100 (padding and the like) do not count."""
    logits = model(batch.ids, batch.attributes)  # (B, T, V)
    return functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten())


def scorer(model: Model, batch_tokens: int = 4096) -> Scorer:
    """The model as musegen.evaluate.likelihood asks for one; sequences of like length share a batch."""

    def score(sequences: Sequences) -> list[Array]:
        order = np.argsort([len(ids) for ids, _ in sequences], kind="stable")
        losses: list[Array] = [np.zeros(0)] * len(sequences)
        was_training = model.training
        model.eval()
        start = 0
        with torch.inference_mode():
            while start < len(order):
                stop = start + 1
                while stop < len(order) and (stop + 1 - start) * len(sequences[order[stop]][0]) <= batch_tokens:
                    stop += 1
                rows = order[start:stop].tolist()
                batch = collate([Example(*sequences[i]) for i in rows])
                logits = model(batch.ids, batch.attributes)  # (B, T, V)
                nats = functional.cross_entropy(logits.mT, batch.targets, reduction="none")  # (B, T)
                for i, row in zip(rows, nats.numpy(), strict=True):
                    losses[i] = row[: len(sequences[i][0]) - 1]
                start = stop
        model.train(was_training)
        return losses

    return score
