"""An LSTM over the tokens of a piece, called like the transformer: its cache is the state after each row.

Embeddings and output projection as in the transformer; the hidden state (width d_ff) is projected back to
d_model, normalised and read out by the tied table (Hochreiter and Schmidhuber, 1997).

Letters: B rows, T tokens, A attributes, V ids, C d_model, S d_ff (hidden size).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from musegen.models.config import ModelConfig
from musegen.models.embedding import INIT_STD, TiedEmbedding


class LSTMCache:
    """Hidden and cell state of every layer, (n_layer, B, S) each, and how many tokens each row has read."""

    def __init__(self, config: ModelConfig, batch: int, device: torch.device, dtype: torch.dtype) -> None:
        shape = (config.n_layer, batch, config.d_ff)
        self.capacity = config.context
        self.hidden = torch.zeros(shape, device=device, dtype=dtype)
        self.cell = torch.zeros(shape, device=device, dtype=dtype)
        self.lengths = torch.zeros(batch, dtype=torch.int64)

    @property
    def batch(self) -> int:
        """How many rows there are."""
        return self.hidden.shape[1]

    @property
    def length(self) -> int:
        """Tokens that the longest row has read."""
        return int(self.lengths.max()) if self.batch else 0

    def select(self, rows: Tensor) -> None:
        """Keep these rows, in this order (one may be named more than once)."""
        on_device = rows.to(self.hidden.device)
        self.hidden, self.cell = self.hidden[:, on_device], self.cell[:, on_device]
        self.lengths = self.lengths[rows.cpu()]

    def insert(self, row: int, source: LSTMCache) -> None:
        """Replace a row by the only row of `source`."""
        self.hidden[:, row] = source.hidden[:, 0]
        self.cell[:, row] = source.cell[:, 0]
        self.lengths[row] = source.lengths[0]

    def reset(self, rows: Tensor | None = None) -> None:
        """Forget what these rows hold (all of them without `rows`)."""
        chosen = torch.arange(self.batch) if rows is None else rows.cpu()
        self.lengths[chosen] = 0
        for state in (self.hidden, self.cell):
            state[:, chosen.to(state.device)] = 0


class LSTM(nn.Module):
    """The network; see the head of this file."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = TiedEmbedding(config)
        self.dropout = nn.Dropout(config.dropout)
        between = config.dropout if config.n_layer > 1 else 0.0
        self.lstm = nn.LSTM(config.d_model, config.d_ff, config.n_layer, batch_first=True, dropout=between)
        self.out = nn.Linear(config.d_ff, config.d_model, bias=False)
        self.norm = nn.LayerNorm(config.d_model, bias=False)
        nn.init.normal_(self.out.weight, std=INIT_STD)

    @property
    def n_parameters(self) -> int:
        """How many numbers are learnt."""
        return sum(parameter.numel() for parameter in self.parameters())

    def new_cache(self, batch: int, capacity: int) -> LSTMCache:  # noqa: ARG002  # called like the transformer
        """The state of `batch` rows that have read nothing."""
        weight = self.embedding.weight
        return LSTMCache(self.config, batch, weight.device, weight.dtype)

    def forward(self, ids: Tensor, attributes: Tensor, cache: LSTMCache | None = None) -> Tensor:
        """Logits of what follows each token: (B, T) and (B, T, A + 2) int64 -> (B, T, V).

        With a cache, `ids` are only the new tokens, and the cache advances by T.
        """
        x = self.dropout(self.embedding(ids, attributes))
        if cache is None:
            hidden, _ = self.lstm(x)  # (B, T, S)
        else:
            hidden, (cache.hidden, cache.cell) = self.lstm(x, (cache.hidden, cache.cell))
            cache.lengths += ids.shape[1]
        return self.embedding.project(self.norm(self.dropout(self.out(hidden))))
