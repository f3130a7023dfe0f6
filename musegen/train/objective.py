"""The training loss, and a model as a scorer of held-out pieces.

Letters: B rows, T tokens, A attributes, V ids.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from musegen.evaluate.likelihood import Array, Scorer, Sequences
from musegen.models import Model
from musegen.tokens import VOCABULARY
from musegen.train.data import Batch
from musegen.train.distributed import Place

PAD = VOCABULARY.id("PAD")
SCORED_TOGETHER = {"cpu": 4096, "cuda": 131_072}
"""Tokens in a batch of the scorer."""


def loss(network: nn.Module, batch: Batch) -> Tensor:
    """Summed cross entropy in nats; targets of -100 (padding and the like) do not count."""
    logits = network(batch.ids, batch.attributes)  # (B, T, V)
    return functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), reduction="sum")


def scorer(model: Model, batch_tokens: int | None = None) -> Scorer:
    """The model as musegen.evaluate.likelihood asks for one, on the model's device.

    Sequences of like length share a batch of about `batch_tokens` tokens (by default as the device likes).
    """
    device = next(model.parameters()).device
    place = Place(device, narrow=device.type != "cpu")
    limit = batch_tokens or SCORED_TOGETHER[place.device.type]

    def score(sequences: Sequences) -> list[Array]:
        lengths = [len(ids) for ids, _ in sequences]
        order = np.argsort(lengths, kind="stable").tolist()
        losses: list[Array] = [np.zeros(0)] * len(sequences)
        was_training = model.training
        model.eval()
        start = 0
        with torch.inference_mode():
            while start < len(order):
                stop = start + 1
                while stop < len(order) and (stop + 1 - start) * lengths[order[stop]] <= limit:
                    stop += 1
                rows = order[start:stop]
                nats = _nats(model, [sequences[i] for i in rows], place)  # (B, T)
                for i, row in zip(rows, nats.cpu().numpy(), strict=True):
                    losses[i] = row[: lengths[i] - 1]
                start = stop
        model.train(was_training)
        return losses

    return score


def _nats(model: Model, sequences: Sequences, place: Place) -> Tensor:
    """What each next token costs, (B, T); the last of a row and those behind it mean nothing."""
    ids = pad_sequence([torch.from_numpy(ids) for ids, _ in sequences], True, PAD).to(place.device).long()
    attributes = pad_sequence([torch.from_numpy(values) for _, values in sequences], True).to(place.device).long()
    following = functional.pad(ids[:, 1:], (0, 1), value=PAD)
    with place.autocast():
        logits = model(ids, attributes)  # (B, T, V)
        nats = functional.cross_entropy(logits.flatten(0, 1), following.flatten(), reduction="none")
    return nats.view(ids.shape)
