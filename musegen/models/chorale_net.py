"""A network that mixes the predictions of counted contexts for the four voices of a chorale, and adds its own.

A step is read by a body, recurrent or attending, that has seen all steps before it; then each voice in turn is
predicted from the body's state, the voices told before it in the step, and what the contexts say:

    p(y) = softmax( sum_e w_e ln p_e(y) + b(y) ),

weights w and corrections b given by the network: a mixture of experts in the logarithmic domain, as in PAQ (Mahoney
2005) with a network for its mixer. Corrections are given for the pitch itself, for the move from the voice's last
pitch, and for the pitch class above each voice told, so that most of what is learned holds in every key. A piece may
end before each step but the first: a logit for that too.

Letters: B rows, T steps, V 4 voices, E contexts, C classes of moves, P ids of pitches, D width.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from musegen.errors import ModelError

BODIES = ("recurrent", "attending")
_FARTHEST = 160
"""Steps back that attention tells apart."""


@dataclass(frozen=True)
class ChoraleConfig:
    """A network's shape. `classes` (P, P) of the data are given to the network apart."""

    body: str = "recurrent"
    """One of BODIES: a GRU (Cho et al. 2014), or attention with learned biases of distance (Press et al. 2022)."""
    n_ids: int = 59
    n_classes: int = 30
    n_contexts: int = 1
    order: tuple[int, ...] = (0, 3, 1, 2)
    """In which order the voices of a step are told."""
    d_model: int = 160
    d_voice: int = 160
    """Width of the layer that predicts a voice."""
    d_embedding: int = 32
    n_layer: int = 1
    n_head: int = 4
    dropout: float = 0.5
    voice_dropout: float = 0.4
    context_dropout: float = 0.3
    """Of what the contexts say, as an input of the layer that predicts a voice."""

    def __post_init__(self) -> None:
        """Raise ModelError for an unknown body, or heads that do not divide the width."""
        if self.body not in BODIES:
            raise ModelError(f"unknown body {self.body!r}; there are {', '.join(BODIES)}")
        if self.d_model % self.n_head:
            raise ModelError(f"n_head {self.n_head} does not divide d_model {self.d_model}")


class Inputs(NamedTuple):
    """What the network reads of each step, all of it known before the step but `ids`, of which a voice sees those told.

    ids (B, T, V), previous (B, T, V) ids of the step before (n_ids where there is none), age (B, T, V) for how long
    they have stood (0 to MAX_AGE + 1), phase (B, T) sixteenth of the bar, contexts (B, T, V, E, C) log-probabilities.
    """

    ids: Tensor
    previous: Tensor
    age: Tensor
    phase: Tensor
    contexts: Tensor


MAX_AGE = 32


class SharedDropout(nn.Module):
    """Dropout with one mask for all steps of a row (Gal and Ghahramani 2016)."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        if not self.training or not self.rate:
            return x
        mask = torch.empty(x.shape[0], 1, x.shape[2], device=x.device).bernoulli_(1 - self.rate) / (1 - self.rate)
        return x * mask.to(x.dtype)


class AttentionBlock(nn.Module):
    """A causal block of attention and feed-forward, with a learned bias for each head and distance."""

    def __init__(self, config: ChoraleConfig) -> None:
        super().__init__()
        d = config.d_model
        self.n_head = config.n_head
        self.attention_norm, self.feed_norm = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.feed_in, self.feed_out = nn.Linear(d, 2 * d), nn.Linear(2 * d, d)
        slopes = 0.5 ** (2 * torch.arange(config.n_head) + 1.0)
        self.bias = nn.Parameter(-slopes[:, None] * torch.arange(_FARTHEST + 1))  # (H, distances)
        self.dropout = SharedDropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, D) -> (B, T, D)."""
        b, t, d = x.shape
        q, k, v = self.qkv(self.attention_norm(x)).view(b, t, 3, self.n_head, d // self.n_head).permute(2, 0, 3, 1, 4)
        steps = torch.arange(t, device=x.device)
        distance = steps[:, None] - steps
        bias = self.bias[:, distance.clamp(0, _FARTHEST)].masked_fill(distance < 0, -math.inf)  # (H, T, T)
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=bias.to(q.dtype)[None].expand(b, -1, -1, -1))
        x = x + self.dropout(self.out(mixed.transpose(1, 2).reshape(b, t, d)))
        return x + self.dropout(self.feed_out(functional.gelu(self.feed_in(self.feed_norm(x)))))  # type: ignore[no-any-return]


class Body(nn.Module):
    """What has been, summed up for each step: (B, T, D) -> (B, T, D)."""

    def __init__(self, config: ChoraleConfig) -> None:
        super().__init__()
        d = config.d_model
        self.recurrent = nn.GRU(d, d, config.n_layer, batch_first=True) if config.body == "recurrent" else None
        n_blocks = 0 if self.recurrent is not None else config.n_layer
        self.blocks = nn.ModuleList(AttentionBlock(config) for _ in range(n_blocks))

    def forward(self, x: Tensor) -> Tensor:
        """Causal: step t depends on steps up to t of x."""
        if self.recurrent is not None:
            return self.recurrent(x)[0]  # type: ignore[no-any-return]
        for block in self.blocks:
            x = block(x)
        return x


class Voice(nn.Module):
    """Predicts the voice at one place of the order."""

    def __init__(self, config: ChoraleConfig, place: int) -> None:
        super().__init__()
        n_in = config.d_model + 2 * place * config.d_embedding + 3 * config.n_contexts
        self.inner = nn.Linear(n_in, config.d_voice)
        self.weights = nn.Linear(config.d_voice, config.n_contexts)
        self.pitch = nn.Linear(config.d_voice, config.n_ids)
        self.move = nn.Linear(config.d_voice, config.n_classes)
        self.above = nn.ModuleList(nn.Linear(config.d_voice, 13) for _ in range(place))
        self.base = nn.Parameter(torch.full((4, config.n_contexts), 1.3 / config.n_contexts))
        """Weights of the contexts at each sixteenth of the quarter, to which the network's are added."""
        for layer in (self.weights, self.pitch, self.move, *self.above):
            assert isinstance(layer, nn.Linear)
            nn.init.zeros_(layer.weight)  # the network begins as the plain mixture
            nn.init.zeros_(layer.bias)


class ChoraleNet(nn.Module):
    """The network; see the head of this file.

    Args:
        config: its shape.
        classes: (P, P) the class of the move from one id to another.
    """

    classes: Tensor
    pitch_classes: Tensor

    def __init__(self, config: ChoraleConfig, classes: Tensor) -> None:
        super().__init__()
        self.config = config
        n_voices, e = len(config.order), config.d_embedding
        self.before = nn.ModuleList(nn.Embedding(config.n_ids + 1, e) for _ in range(n_voices))
        self.age = nn.ModuleList(nn.Embedding(MAX_AGE + 2, 16) for _ in range(n_voices))
        self.phase = nn.Embedding(16, 32)
        self.now = nn.ModuleList(nn.Embedding(config.n_ids, e) for _ in range(n_voices))
        self.interval = nn.ModuleList(nn.Embedding(2 * config.n_ids + 1, e) for _ in range(n_voices))
        self.enter = nn.Linear(n_voices * (e + 16) + 32, config.d_model)
        self.body = Body(config)
        self.leave = nn.Linear(2 * config.d_model, config.d_model)
        self.voices = nn.ModuleList(Voice(config, place) for place in range(n_voices))
        self.end = nn.Linear(config.d_model, 1)
        self.dropout = SharedDropout(config.dropout)
        self.input_dropout = SharedDropout(0.4 * config.dropout)
        self.voice_dropout = SharedDropout(config.voice_dropout)
        self.context_dropout = SharedDropout(config.context_dropout)
        ids = torch.arange(config.n_ids)
        above = (ids - ids[:, None]) % 12
        above[0] = above[:, 0] = 12  # rests have no pitch class
        self.register_buffer("classes", classes.clone(), persistent=False)
        self.register_buffer("pitch_classes", above, persistent=False)
        hold = int(classes[1, 1])
        self.hold, self.moves = hold, [c for c in range(config.n_classes) if c != hold]

    @property
    def n_parameters(self) -> int:
        """How many numbers are learnt."""
        return sum(parameter.numel() for parameter in self.parameters())

    def forward(self, inputs: Inputs) -> tuple[list[Tensor], Tensor]:
        """Log-probabilities (B, T, P) of each voice in the config's order, and logits (B, T) of ending before it."""
        h = self._read(inputs)
        told = [self._tell(place, h, inputs) for place in range(len(self.voices))]
        return told, self.end(h)[..., 0].float()

    def _read(self, inputs: Inputs) -> Tensor:
        """(B, T, D) the state at each step, before it."""
        columns = [table(inputs.previous[..., v]) for v, table in enumerate(self.before)]
        columns += [table(inputs.age[..., v]) for v, table in enumerate(self.age)]
        x = self.input_dropout(torch.cat([*columns, self.phase(inputs.phase)], dim=-1))
        x = functional.gelu(self.enter(x))
        h = self.body(self.dropout(x))
        h = functional.gelu(self.leave(self.dropout(torch.cat((h, x), dim=-1))))
        return self.dropout(h)  # type: ignore[no-any-return]

    def _tell(self, place: int, h: Tensor, inputs: Inputs) -> Tensor:
        """(B, T, P) log-probabilities of the voice at this place of the order, given those before it."""
        voice, layer = self.config.order[place], self.voices[place]
        assert isinstance(layer, Voice)
        last = inputs.previous[..., voice].clamp(max=self.config.n_ids - 1)  # (B, T)
        said = inputs.contexts[:, :, place].float()  # (B, T, E, C)
        columns = [h]
        for other in self.config.order[:place]:
            now = inputs.ids[..., other]
            columns += [self.now[other](now), self.interval[other](now - last + self.config.n_ids)]
        columns.append(self.context_dropout((self._gist(said) + 2) / 2))
        z = self.voice_dropout(functional.gelu(layer.inner(torch.cat(columns, dim=-1))))
        weights = layer.base[inputs.phase % 4] + 0.3 * layer.weights(z).float()  # (B, T, E)
        moves = layer.move(z).float() + (weights.unsqueeze(-1) * said).sum(dim=2)  # (B, T, C)
        logits = layer.pitch(z).float() + moves.gather(-1, self.classes[last])
        for other, above in zip(self.config.order[:place], layer.above, strict=True):
            logits = logits + above(z).float().gather(-1, self.pitch_classes[inputs.ids[..., other]])
        told: Tensor = logits.log_softmax(dim=-1)
        return told

    def _gist(self, said: Tensor) -> Tensor:
        """(B, T, E, C) -> (B, T, 3 E): the chances to hold and to move, and how sure the likeliest move is."""
        hold, moves = said[..., self.hold], said[..., self.moves]
        any_move = moves.logsumexp(dim=-1)
        return torch.cat((hold, any_move, moves.amax(dim=-1) - any_move), dim=-1)
