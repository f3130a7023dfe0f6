"""A decoder-only transformer over the tokens of a piece.

- token and attribute embeddings summed, output projection tied to them (Press and Wolf, 2017)
- rotary positions (Su et al., 2021), rotating the two halves of a head against each other; a share of the pairs
  turns by musical time instead of the token's index, so that a query finds "the same place, k bars ago" or "what
  sounds now in another voice" whatever lies between in tokens; kin to the relations of time and pitch in Music
  Transformer (Huang et al., 2019)
- one key/value head for all query heads by default (multi-query: Shazeer, 2019)
- pre-norm blocks, LayerNorm without bias, GELU, projections without bias
- initialised as GPT-2: std 0.02, branches that feed the residual stream scaled by 1 / sqrt(2 n_layer)

Dropout acts on the embeddings and on the branches, not on the attention weights: the fused attention kernel
of the CPU has none, and would fall back to a slow one.

Letters: B rows, T tokens, A attributes, V ids, C d_model, H query heads, K key/value heads,
G = H / K query heads that share one, D = C / H width of a head, M of its D / 2 pairs musical.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from musegen.models.embedding import INIT_STD, TiedEmbedding
from musegen.shapes import BAR, LEFT, ONSET, POSITION, WAVELENGTHS, ModelConfig


class Rotary(nn.Module):
    """The angles by which queries and keys turn: for each pair of a head a frequency, times where a token stands.

    A query stands where the next note would begin, a key where its token's event begins; both in bars since the
    piece's begin (0 in the head) for the musical pairs, and both at the token's index for the others.
    """

    index_cosines: Tensor
    index_sines: Tensor
    frequencies: Tensor
    kinds: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        n_musical = config.musical_pairs
        n_index = config.d_head // 2 - n_musical
        by_index = config.rope_theta ** (-torch.arange(n_index, dtype=torch.float64) / max(1, n_index))
        angles = torch.outer(torch.arange(config.context, dtype=torch.float64), by_index)  # RoFormer, equation 34
        wavelengths = [WAVELENGTHS[i % len(WAVELENGTHS)] for i in range(n_musical)]
        tables = {
            "index_cosines": angles.cos().float(),  # (context, D / 2 - M)
            "index_sines": angles.sin().float(),
            "frequencies": torch.tensor([2 * math.pi / bars for bars in wavelengths]),  # (M,), radians a bar
            "kinds": torch.tensor([0] * config.n_head + [1] * config.n_kv_head),  # (H + K,): query or key
        }
        for name, table in tables.items():
            self.register_buffer(name, table, persistent=False)

    def forward(self, attributes: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and signed sines, (B, T, H + K, D) each; positions (B or 1, T) are the tokens' indices."""
        cosines, sines = self.index_cosines[positions].unsqueeze(2), self.index_sines[positions].unsqueeze(2)
        if len(self.frequencies):
            steps = torch.stack((attributes[..., POSITION], attributes[..., ONSET]), dim=-1)  # of query and key
            length = (attributes[..., POSITION] + attributes[..., LEFT]).clamp(min=1)  # the head has none
            bars = attributes[..., BAR, None] + steps.to(self.frequencies.dtype) / length.unsqueeze(-1)
            angles = (bars.unsqueeze(-1) * self.frequencies)[:, :, self.kinds]  # (B, T, H + K, M)
            every = (*angles.shape[:-1], -1)
            cosines = torch.cat((cosines.expand(every), angles.cos()), dim=-1)
            sines = torch.cat((sines.expand(every), angles.sin()), dim=-1)
        cosines, sines = torch.cat((cosines, cosines), dim=-1), torch.cat((-sines, sines), dim=-1)
        place = cosines.device.type
        if torch.is_autocast_enabled(place):  # angles are exact, what multiplies the heads has their type
            narrow = torch.get_autocast_dtype(place)
            return cosines.to(narrow), sines.to(narrow)
        return cosines, sines


def rotate(heads: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Turn (B, T, H + K, D) by angles whose cosines and signed sines can be multiplied with them."""
    first, second = heads.chunk(2, dim=-1)
    return torch.addcmul(heads * cosines, torch.cat((second, first), dim=-1), sines)


class Attention(nn.Module):
    """Causal attention with shared key/value heads; queries, keys and values come from one projection."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.layer = layer
        self.n_head, self.n_kv_head, self.d_head = config.n_head, config.n_kv_head, config.d_head
        self.qkv = nn.Linear(config.d_model, (self.n_head + 2 * self.n_kv_head) * self.d_head, bias=False)
        self.out = nn.Linear(config.d_model, config.d_model, bias=False)

    def forward(self, x: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        n_rows, n_tokens, _ = x.shape
        heads = self.qkv(x).view(n_rows, n_tokens, -1, self.d_head)  # (B, T, H + 2 K, D)
        values = heads[:, :, self.n_head + self.n_kv_head :]
        rotated = rotate(heads[:, :, : self.n_head + self.n_kv_head], *rotary)
        queries, keys = rotated[:, :, : self.n_head], rotated[:, :, self.n_head :]
        return self.out(self.attend(queries, keys, values))  # type: ignore[no-any-return]

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """(B, T, H, D) and twice (B, T, K, D) -> (B, T, C), each token seeing itself and those before it."""
        group = self.n_head // self.n_kv_head
        q, k, v = (t.transpose(1, 2) for t in (queries, keys, values))
        if group > 1:  # (B, K, T, D) -> (B, H, T, D), a view with one key/value head; enable_gqa needs torch 2.5
            k, v = (t.unsqueeze(2).expand(-1, -1, group, -1, -1).flatten(1, 2) for t in (k, v))
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)  # (B, H, T, D)
        return mixed.transpose(1, 2).flatten(2)


class Block(nn.Module):
    """Attention, then a feed-forward layer, each added to the residual stream."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.d_model, bias=False)
        self.attention = Attention(config, layer)
        self.feed_norm = nn.LayerNorm(config.d_model, bias=False)
        self.feed_in = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.feed_out = nn.Linear(config.d_ff, config.d_model, bias=False)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        x = x + self.dropout(self.attention(self.attention_norm(x), rotary))
        inner = functional.gelu(self.feed_in(self.feed_norm(x)))
        return x + self.dropout(self.feed_out(inner))  # type: ignore[no-any-return]


class Transformer(nn.Module):
    """The network; see the head of this file."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = TiedEmbedding(config)
        self.rotary = Rotary(config)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.n_layer))
        self.norm = nn.LayerNorm(config.d_model, bias=False)
        self.initialise()

    def initialise(self) -> None:
        """Draw the projections anew from torch's global generator (the embedding draws itself)."""
        for name, parameter in self.blocks.named_parameters():
            if parameter.ndim == 2:
                is_residual = name.endswith(("attention.out.weight", "feed_out.weight"))
                std = INIT_STD / math.sqrt(2 * self.config.n_layer) if is_residual else INIT_STD
                nn.init.normal_(parameter, std=std)

    @property
    def n_parameters(self) -> int:
        """How many numbers are learnt."""
        return sum(parameter.numel() for parameter in self.parameters())

    def forward(self, ids: Tensor, attributes: Tensor) -> Tensor:
        """Logits of what follows each token: (B, T) and (B, T, A + 2) int64 -> (B, T, V).

        A sequence longer than the context raises ValueError.
        """
        if ids.shape[1] > self.config.context:
            raise ValueError(f"{ids.shape[1]} tokens do not fit a context of {self.config.context}")
        positions = torch.arange(ids.shape[1], device=ids.device).unsqueeze(0)
        rotary = self.rotary(attributes, positions)
        x = self.dropout(self.embedding(ids, attributes))
        for block in self.blocks:
            x = block(x, rotary)
        return self.embedding.project(self.norm(x))
