"""An LSTM over the tokens of a piece, called like the transformer.

Embeddings and output projection as in the transformer; the hidden state (width d_ff) is projected back to
d_model, normalised and read out by the tied table (Hochreiter and Schmidhuber, 1997).

Letters: B rows, T tokens, A attributes, V ids, C d_model, S d_ff (hidden size).
"""

from __future__ import annotations

from torch import Tensor, nn

from musegen.models.embedding import INIT_STD, TiedEmbedding
from musegen.shapes import ModelConfig


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

    def forward(self, ids: Tensor, attributes: Tensor) -> Tensor:
        """Logits of what follows each token: (B, T) and (B, T, A + 2) int64 -> (B, T, V)."""
        hidden, _ = self.lstm(self.dropout(self.embedding(ids, attributes)))  # (B, T, S)
        return self.embedding.project(self.norm(self.dropout(self.out(hidden))))
