"""How a token and its attributes enter a network, and how ids leave it: one table for both.

The table's first V rows are the ids; the attributes' rows follow, one block each. A position's vector is the
sum of 1 + A rows, fetched by one fused gather; the first V rows are also the output projection (tied). Behind the
A embedded attributes come two that are not: BAR and ONSET say where in the piece the token's event stands.

Letters: B rows of a batch, T tokens, A attributes, V ids, C d_model.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from musegen.shapes import ModelConfig

INIT_STD = 0.02
"""Standard deviation of the initial weights (GPT-2)."""


class TiedEmbedding(nn.Module):
    """The shared table of ids and attributes."""

    offsets: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.vocab_size = config.vocab_size
        rows = config.vocab_size + sum(config.attribute_sizes)
        self.weight = nn.Parameter(torch.empty(rows, config.d_model))
        nn.init.normal_(self.weight, std=INIT_STD)
        starts = torch.tensor([config.vocab_size, *config.attribute_sizes[:-1]]).cumsum(0)
        self.register_buffer("offsets", starts[: len(config.attribute_sizes)], persistent=False)

    def forward(self, ids: Tensor, attributes: Tensor) -> Tensor:
        """(B, T) and (B, T, A + 2) int64 -> (B, T, C): the sum of a token's rows; BAR and ONSET are not read."""
        embedded = attributes[..., : len(self.offsets)]  # (B, T, A)
        rows = torch.cat((ids.unsqueeze(-1), embedded + self.offsets), dim=-1)  # (B, T, 1 + A)
        summed = functional.embedding_bag(rows.flatten(0, 1), self.weight, mode="sum")  # (B * T, C)
        return summed.view(*ids.shape, -1)

    def project(self, hidden: Tensor) -> Tensor:
        """(B, T, C) -> logits (B, T, V)."""
        return functional.linear(hidden, self.weight[: self.vocab_size])
