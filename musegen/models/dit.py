"""A diffusion transformer over piano rolls: noisy cells in, logits of each cell's state out.

- a token is a patch of a beat by `patch_pitches` of all parts (patches of pixels: Peebles and Xie, 2023)
- into a token goes, and out of it comes, what one small network makes of each column, a pitch of a part in a beat with
  the beats beside it: that a note lasts is learnt once, not for each pitch anew; at last the pitches of a part in a
  beat compete, so that a voice sings one of them
- between columns go `Lattice` layers, which know intervals, not pitches: a column hears those of its part and of all
  parts so and so many semitones away, and its own pitch in the beats that its token attends to
- a cell comes in two forms: squeezed to -1..1 by its noise level (plain where it is small, linear where it is large),
  and as the network's last estimate of it (self-conditioning: Chen et al., 2023); known cells come clean, and marked
- what comes out is added to the logits of prior and evidence, and is zero at first, so that an untrained network is the
  best denoiser of cells that know nothing of each other
- rotary positions over beats, and over patches of pitch where there are several (axial: half of the pairs each)
- one shared adaptive norm for noise level and conditions, gates zero at first (adaLN-single: Chen et al., 2024), with
  a bias of each layer; queries and keys are normalised
- conditions of the clip are summed into the embedding of the noise level, facts of a beat and its chord into its tokens

Letters: B rows, P parts, T steps, K pitches, N beats, G patches of pitch to a beat, k pitches in a patch, C d_model,
H heads, D = C / H, F features of a column, R parts that there are, of all rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from musegen.diffusion.posterior import EVIDENCE_LIMIT, evidence
from musegen.models.transformer import rotate
from musegen.shapes import DitConfig

FORMS = 5
"""Numbers a cell comes as: twice (onset, sustain), and whether it is known."""
PRIOR_ODDS = (0.005, 0.01)
"""Of onset and sustain against off, until the data tell."""
CLAIMS = 8
"""In how many ways the pitches of a part in a beat compete."""
FREQUENCIES = 32
GLANCE = 32
"""Width of a query of a lattice layer."""
INIT_STD = 0.02


@dataclass(frozen=True, eq=False)
class Told:
    """What the network is told beside the noisy cells.

    Attributes:
        clip: (B, conditions) int64, 0 where nothing is said.
        beats: (B, N, facts) int64.
        chords: (B, N, chord_size) float32, all 0 where nothing is said.
        valid: (B, N) bool, false behind the end of the clip.
        known: (B, P, 1, T, K) float32, 1 where a cell is given.
        cells: (B, P, 2, T, K) float32, the given cells, 0 elsewhere.
        parts: (B, P) bool, which parts there are.
        voices: (B, P) bool, in which of them one pitch sounds at a time; the network itself does not ask.
    """

    clip: Tensor
    beats: Tensor
    chords: Tensor
    valid: Tensor
    known: Tensor
    cells: Tensor
    parts: Tensor
    voices: Tensor

    def without_conditions(self) -> Told:
        """The same clip with nothing said of it but its frame: what is known, and where its beats stand."""
        return replace(self, clip=torch.zeros_like(self.clip), chords=torch.zeros_like(self.chords))


class Block(nn.Module):
    """Attention, then a feed-forward layer, each scaled and gated by the modulation."""

    def __init__(self, config: DitConfig) -> None:
        super().__init__()
        width = config.d_model
        self.n_head = config.n_head
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.feed_in = nn.Linear(width, config.d_ff, bias=False)
        self.feed_out = nn.Linear(config.d_ff, width, bias=False)
        self.bias = nn.Parameter(torch.zeros(6 * width))
        self.query_norm = nn.Parameter(torch.ones(width // config.n_head))
        self.key_norm = nn.Parameter(torch.ones(width // config.n_head))
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, modulation: Tensor, turn: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
        """(B, S, C) -> (B, S, C) of S = N G tokens; modulation (B, 6 C), mask (B, 1, 1, S) of those to attend to."""
        shift_a, scale_a, gate_a, shift_f, scale_f, gate_f = (modulation + self.bias).unsqueeze(1).chunk(6, dim=-1)
        x = x + gate_a * self.dropout(self.attend(modulate(x, shift_a, scale_a), turn, mask))
        inner = functional.gelu(self.feed_in(modulate(x, shift_f, scale_f)), approximate="tanh")
        return x + gate_f * self.dropout(self.feed_out(inner))  # type: ignore[no-any-return]

    def attend(self, x: Tensor, turn: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
        """(B, S, C) -> (B, S, C), every token seeing all."""
        n_rows, n_tokens, _ = x.shape
        heads = self.qkv(x).view(n_rows, n_tokens, 3, self.n_head, -1)  # (B, S, 3, H, D)
        q = rotate(unit(heads[:, :, 0]) * self.query_norm, *turn).to(heads.dtype)
        k = rotate(unit(heads[:, :, 1]) * self.key_norm, *turn).to(heads.dtype)
        q, k, v = (t.transpose(1, 2) for t in (q, k, heads[:, :, 2]))
        mixed = functional.scaled_dot_product_attention(q, k, v, mask)  # (B, H, S, D)
        return self.out(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


def unit(heads: Tensor) -> Tensor:
    """Heads (..., D) of root mean square 1."""
    return heads * (heads.float().square().mean(dim=-1, keepdim=True) + 1e-6).rsqrt()


def modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Normalised (B, S, C), then scaled and shifted by (B, 1, C)."""
    return functional.layer_norm(x, x.shape[-1:]) * (1 + scale) + shift


@dataclass(frozen=True)
class Lattice:
    """Where the columns of a call stand.

    Attributes:
        rows: (R,) int64, of the B P parts those that there are.
        n_parts: P.
        valid: (B, N) bool, false behind the end of the clip; None if all is valid.
    """

    rows: Tensor
    n_parts: int
    valid: Tensor | None

    @property
    def clips(self) -> Tensor:
        """(R,) the row of each part."""
        return self.rows // self.n_parts


class LatticeLayer(nn.Module):
    """Columns hear columns: of other pitches, of other parts, of other beats; what they hear is added to them.

    The pitches of a beat are mixed by a convolution as long as all of them, one kernel a channel: of the part itself, a
    third of the channels from the beat before and a third from the beat behind, and of all parts summed. Other beats
    are heard by attention at the same pitch, its weights those of one token for another.
    """

    def __init__(self, config: DitConfig) -> None:
        super().__init__()
        self.channels = [3 * config.d_lattice, config.d_lattice, 2 * config.d_lattice]
        self.n_head = config.n_glances
        inner = sum(self.channels)
        self.into = nn.Linear(config.d_column, inner)
        self.noise = nn.Linear(config.d_model, inner, bias=False)
        self.kernels = nn.Parameter(torch.empty(4 * config.d_lattice, 2 * config.n_pitches - 1))
        self.glance = nn.Linear(config.d_model, 2 * self.n_head * GLANCE, bias=False)
        self.out = nn.Linear(inner, config.d_column)

    def initialise(self) -> None:
        """Draw the weights; what is added is zero at first."""
        nn.init.normal_(self.into.weight, std=self.into.in_features**-0.5)
        nn.init.normal_(self.kernels, std=0.1)
        nn.init.normal_(self.glance.weight, std=self.glance.in_features**-0.5)
        for parameter in (self.into.bias, self.noise.weight, self.out.weight, self.out.bias):
            nn.init.zeros_(parameter)

    def forward(self, columns: Tensor, vector: Tensor, tokens: Tensor, lattice: Lattice) -> Tensor:
        """(F, R, N, K), (B, C) and (B, N, C) -> (F, R, N, K)."""
        clips, shape = lattice.clips, columns.shape
        offset = self.noise(vector) + self.into.bias  # (B, channels)
        inner = (self.into.weight @ columns.flatten(1)).view(-1, *shape[1:]).add_(offset[clips].t()[:, :, None, None])
        own, all_, seen = torch.split(inner, self.channels)
        total = all_.new_zeros((len(all_), len(vector), *shape[2:])).index_add(1, clips, all_)
        kernels = self.toeplitz(shape[3])
        to_own, to_all, to_seen = torch.split(self.out.weight.to(inner.dtype), self.channels, dim=1)
        own = convolved(beside(own, lattice), kernels[: len(own)])
        total = convolved(total, kernels[len(own) :])
        seen = self.looked_up(seen, tokens, lattice)
        of_all = torch.addmm(self.out.bias[:, None], to_all, total.relu_().flatten(1)).view(-1, len(vector), *shape[2:])
        summed = of_all.index_select(1, clips).add_(columns).flatten(1)
        summed.addmm_(to_own, own.relu_().flatten(1)).addmm_(to_seen, seen.relu_().flatten(1))
        return summed.view(shape)

    def toeplitz(self, n_pitches: int) -> Tensor:
        """(channels, K, K): entry (i, j) is the kernel at j - i semitones."""
        return self.kernels.unfold(1, n_pitches, 1).flip(1)

    def looked_up(self, seen: Tensor, tokens: Tensor, lattice: Lattice) -> Tensor:
        """(2 d_lattice, R, N, K) -> the same, of the beats that tokens (B, N, C) attend to."""
        q, k = torch.unflatten(self.glance(tokens), -1, (2, self.n_head, GLANCE)).unbind(2)
        angles = _angles(torch.arange(tokens.shape[1]), GLANCE // 2).to(tokens.device)
        turn = turning(angles, tokens.dtype)
        q, k = (rotate(unit(heads), *turn).float() for heads in (q, k))
        scores = torch.einsum("bnhd,bmhd->hbnm", q, k) / GLANCE**0.5
        if lattice.valid is not None:
            scores = scores.masked_fill(~lattice.valid[None, :, None], -torch.inf)
        shares = scores.softmax(dim=-1).to(seen.dtype)[:, lattice.clips]  # (H, R, N, N)
        found: Tensor = shares[:, None] @ torch.unflatten(seen, 0, (self.n_head, -1))  # (H, channels a head, R, N, K)
        return found.flatten(0, 1)


def mixed(layer: nn.Linear, columns: Tensor) -> Tensor:
    """(F, ...) -> (F', ...), the features of each column by a linear layer."""
    return torch.addmm(layer.bias[:, None], layer.weight, columns.flatten(1)).view(-1, *columns.shape[1:])


def convolved(columns: Tensor, kernels: Tensor) -> Tensor:
    """(channels, R, N, K) by (channels, K, K), along the pitches."""
    return torch.bmm(columns.flatten(1, 2), kernels).view_as(columns)


def beside(own: Tensor, lattice: Lattice) -> Tensor:
    """(channels, R, N, K) of which a third comes from the beat before, a third from the beat behind; 0 at the ends."""
    before, here, behind = own.chunk(3)
    if lattice.valid is not None:
        behind = behind * lattice.valid[lattice.clips, :, None].to(own.dtype)
    nothing = own.new_zeros((len(before), own.shape[1], 1, own.shape[3]))
    return torch.cat((torch.cat((nothing, before[:, :, :-1]), 2), here, torch.cat((behind[:, :, 1:], nothing), dim=2)))


class Dit(nn.Module):
    """The network; see the head of this file."""

    def __init__(self, config: DitConfig) -> None:
        super().__init__()
        self.config = config
        width = config.d_model
        self.prior = nn.Parameter(
            torch.tensor(PRIOR_ODDS).log().repeat_interleave(config.n_pitches).repeat(config.n_parts)
        )
        n_cells = config.n_parts * config.patch_pitches
        reach = (3 * config.beat, 1)
        self.column = nn.Conv2d(FORMS, config.d_column, reach, (config.beat, 1), (config.beat, 0))
        self.column_noise = nn.Linear(width, config.d_column)
        self.column_out = nn.Linear(config.d_column, config.n_features)
        self.patch = nn.Linear(n_cells * config.n_features, width)
        self.noise_in = nn.Linear(2 * FREQUENCIES, width)
        self.clip = nn.ModuleList(nn.Embedding(size, width) for size in config.condition_sizes)
        self.beats = nn.ModuleList(nn.Embedding(size, width) for size in config.beat_sizes)
        self.chords = nn.Linear(config.chord_size, width, bias=False)
        self.before = nn.ModuleList(LatticeLayer(config) for _ in range(config.n_before))
        self.modulation = nn.Linear(width, 6 * width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.last_modulation = nn.Linear(width, 2 * width)
        self.unpatch = nn.Linear(width, n_cells * config.n_features)
        self.join = nn.Linear(config.d_column + config.n_features, config.d_column)
        self.behind = nn.ModuleList(LatticeLayer(config) for _ in range(config.n_behind))
        self.claims = nn.Linear(config.d_column, CLAIMS)
        self.settle = nn.Linear(config.d_column + CLAIMS, config.d_column)
        self.cells = nn.Linear(config.d_column, 2 * config.beat)
        self.settled = nn.Linear(config.d_column, 2 * config.beat)
        self.dropout = nn.Dropout(config.dropout)
        self.initialise()

    def initialise(self) -> None:
        """Draw the matrices from torch's global generator; what leaves a branch or the network is zero."""
        for name, parameter in self.named_parameters():
            if name == "prior" or "norm" in name or name.startswith(("before", "behind")):
                continue
            if parameter.ndim == 1 or name.startswith(("modulation", "last_modulation", "cells", "settled")):
                nn.init.zeros_(parameter)
            elif name.startswith(("column", "patch", "unpatch", "join", "claims", "settle", "noise_in")):
                nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
            else:
                nn.init.normal_(parameter, std=INIT_STD)
        for layer in (*self.before, *self.behind):
            layer.initialise()

    @property
    def n_parameters(self) -> int:
        """How many numbers are learnt."""
        return sum(parameter.numel() for parameter in self.parameters())

    def forward(self, x: Tensor, sigma: Tensor, told: Told, previous: Tensor | None = None) -> Tensor:
        """Logits of onset and sustain against off for each cell, (B, P, 2, T, K) float32.

        x (B, P, 2, T, K) are cells with noise of size sigma (B,); previous is an earlier estimate of them. T is a
        whole number of beats.
        """
        base = self.prior.view(-1, 2, 1, self.config.n_pitches) + evidence(x, sigma)
        squeezed = ((x - 0.5) / (2 * sigma).view(-1, 1, 1, 1, 1)).tanh()
        seen = torch.lerp(squeezed, 2 * told.cells - 1, told.known)
        guess = told.cells if previous is None else torch.lerp(previous, told.cells, told.known)
        vector = self.noise_in(waves(sigma))
        for i, table in enumerate(self.clip):
            vector = vector + table(told.clip[:, i])
        vector = functional.silu(vector)
        n_rows, n_parts = told.parts.shape
        lattice = Lattice(
            told.parts.flatten().nonzero().squeeze(1), n_parts, None if bool(told.valid.all()) else told.valid
        )
        columns = self.columns(torch.cat((seen, guess, told.known), dim=2), vector, lattice)  # (F, R, N, K)
        facts = self.of_beats(told)  # (B, N, C)
        for layer in self.before:
            columns = layer(columns, vector, facts, lattice)
        features = spread(mixed(self.column_out, columns).transpose(0, 1), lattice.rows, n_rows * n_parts)
        tokens = self.patch(self.to_patches(features)) + facts.repeat_interleave(self.n_groups, dim=1)
        tokens = self.dropout(tokens)
        modulation = self.modulation(vector)
        turn = self.turns(told.valid.shape[1], tokens)
        mask = None
        if lattice.valid is not None:
            mask = told.valid.repeat_interleave(self.n_groups, 1)[:, None, None]
        for block in self.blocks:
            tokens = block(tokens, modulation, turn, mask)
        shift, gain = self.last_modulation(vector).unsqueeze(1).chunk(2, dim=-1)
        tokens = modulate(tokens, shift, gain)
        features = self.from_patches(self.unpatch(tokens))[lattice.rows].transpose(0, 1)
        joined = mixed(self.join, torch.cat((columns, features))).relu()  # (F, R, N, K)
        of_beats = torch.unflatten(tokens, 1, (-1, self.n_groups)).mean(dim=2)
        for layer in self.behind:
            joined = layer(joined, vector, of_beats, lattice)
        shares = rivalry(mixed(self.claims, joined).float())  # (CLAIMS, R, N, K)
        settled = mixed(self.settle, torch.cat((joined, shares.to(joined.dtype)))).relu()
        cells = (mixed(self.cells, joined) + mixed(self.settled, settled)).float().transpose(0, 1)
        cells = spread(cells, lattice.rows, n_rows * n_parts)
        logits = base + self.to_cells(cells)
        return torch.where(told.known > 0, EVIDENCE_LIMIT * (2 * told.cells - 1), logits)

    def columns(self, forms: Tensor, vector: Tensor, lattice: Lattice) -> Tensor:
        """(B, P, FORMS, T, K) and (B, C) -> (F, R, N, K), what each column of the parts there are holds."""
        if lattice.valid is not None:  # behind the end of a clip is what is behind the end of the longest: nothing
            forms = forms * lattice.valid.repeat_interleave(self.config.beat, dim=1)[:, None, None, :, None]
        offset = self.column_noise(vector)[lattice.clips]  # (R, F)
        held: Tensor = self.column(forms.flatten(0, 1)[lattice.rows]) + offset[..., None, None]
        return held.relu().transpose(0, 1).contiguous()

    @property
    def n_groups(self) -> int:
        """G: patches of pitch to a beat."""
        return self.config.n_pitches // self.config.patch_pitches

    def of_beats(self, told: Told) -> Tensor:
        """(B, N, C) what the tokens of each beat are told."""
        total: Tensor = self.chords(told.chords)
        for i, table in enumerate(self.beats):
            total = total + table(told.beats[..., i])
        return total

    def to_patches(self, features: Tensor) -> Tensor:
        """(B P, F, N, K) -> (B, N G, P F k)."""
        c = self.config
        patches = torch.unflatten(features, 0, (-1, c.n_parts))
        patches = torch.unflatten(patches, -1, (self.n_groups, c.patch_pitches))
        return patches.permute(0, 3, 4, 1, 2, 5).flatten(3).flatten(1, 2)  # (B, P, F, N, G, k) before

    def from_patches(self, patches: Tensor) -> Tensor:
        """(B, N G, P F k) -> (B P, F, N, K)."""
        c = self.config
        cells = torch.unflatten(patches, 1, (-1, self.n_groups))
        cells = torch.unflatten(cells, 3, (c.n_parts, c.n_features, c.patch_pitches))
        return cells.permute(0, 3, 4, 1, 2, 5).flatten(4).flatten(0, 1)  # (B, N, G, P, F, k) before

    def to_cells(self, columns: Tensor) -> Tensor:
        """(B P, 2 beat, N, K) -> (B, P, 2, T, K)."""
        c = self.config
        cells = torch.unflatten(columns, 0, (-1, c.n_parts))
        cells = torch.unflatten(cells, 2, (2, c.beat))  # (B, P, 2, beat, N, K)
        return cells.transpose(3, 4).flatten(3, 4)

    def turns(self, n_beats: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and signed sines, (1, S, 1, D), by which queries and keys turn."""
        pairs = self.config.d_model // self.config.n_head // 2
        beats = torch.arange(n_beats).repeat_interleave(self.n_groups)
        groups = torch.arange(self.n_groups).repeat(n_beats)
        n_time = pairs if self.n_groups == 1 else pairs // 2
        angles = [_angles(beats, n_time)] + ([] if self.n_groups == 1 else [_angles(groups, pairs - n_time)])
        return turning(torch.cat(angles, dim=-1).to(like.device), like.dtype)


def _angles(positions: Tensor, pairs: int) -> Tensor:
    """(S, pairs) radians: wavelengths from two to a few hundred positions."""
    return torch.outer(positions.float(), math.pi * 200.0 ** (-torch.arange(pairs) / max(1, pairs)))


def turning(angles: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Of (S, D / 2) radians the cosines and signed sines, (1, S, 1, D), that `rotate` takes."""
    cosines, sines = angles.cos().to(dtype), angles.sin().to(dtype)
    cosines, sines = torch.cat((cosines, cosines), -1), torch.cat((-sines, sines), -1)
    return cosines[None, :, None], sines[None, :, None]


def rivalry(claims: Tensor) -> Tensor:
    """Of claims (..., K) the share that each pitch has beside the others and beside none of them: a softmax."""
    top = claims.amax(dim=-1, keepdim=True).clamp(min=0)
    weights = (claims - top).exp()
    return weights / (weights.sum(dim=-1, keepdim=True) + (-top).exp())


def spread(values: Tensor, rows: Tensor, n_rows: int) -> Tensor:
    """(R, ...) at these rows of (n_rows, ...), 0 elsewhere."""
    return values.new_zeros((n_rows, *values.shape[1:])).index_copy(0, rows, values)


def waves(sigma: Tensor) -> Tensor:
    """(B, 2 FREQUENCIES) the noise level as waves of its logarithm."""
    rates = torch.exp(torch.linspace(math.log(0.25), math.log(16), FREQUENCIES, device=sigma.device))
    angles = sigma.log().unsqueeze(-1) * rates
    return torch.cat((angles.cos(), angles.sin()), dim=-1)
