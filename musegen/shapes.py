"""The shape of a network: one frozen record, checked when it is made, a few named sizes, its parameters' names.

A record is what a checkpoint stores beside its weights, so `ModelConfig.from_dict(config.to_dict())` gives
the same record back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeVar

from musegen.errors import ModelError

Architecture = Literal["transformer", "rnn"]

WIDTH_MULTIPLE = 16
"""Widths are multiples of this: whole vectors for torch, and sums by halves for the engine."""

POSITION, LEFT, BAR, ONSET = 0, 1, -2, -1
"""Columns of the attributes that say where in the music a token stands, in steps of its bar but for BAR: where the
next note would begin, the steps left from there, the index of the bar in the piece, where the token's event begins."""

WAVELENGTHS = (1, 8, 1 / 2, 2, 32, 4, 1 / 4, 16, 1 / 3, 64, 1 / 8, 128, 1 / 6, 256, 512, 1 / 12)
"""Of the musical pairs, in bars, in the order in which few pairs take them. Those of a bar and less fit into it a
whole number of times, so "the same place in another bar" is exact; further pairs begin the list anew."""


@dataclass(frozen=True)
class ModelConfig:
    """Everything that fixes the parameters of a network and how it is called."""

    architecture: Architecture
    vocab_size: int
    """V: ids the network reads and writes."""
    attribute_sizes: tuple[int, ...]
    """How many values each derived attribute of a token can take: one embedding table each."""
    d_model: int
    """Width of the embeddings and of the residual stream."""
    n_layer: int
    n_head: int = 1
    """Query heads (transformer only; 1 for the rnn)."""
    n_kv_head: int = 1
    """Key/value heads: one by default, since the cache is what batched decoding on a CPU reads."""
    d_ff: int = 0
    """Inner width of the feed-forward layer; of the LSTM, its hidden size. 0: four times d_model."""
    context: int = 512
    """Longest sequence in tokens that training shows and decoding keeps."""
    dropout: float = 0.1
    """Share of the embeddings and of each branch's outputs that is zeroed in training."""
    rope_theta: float = 10_000.0
    """Base of the rotary wavelengths (transformer only)."""
    musical_share: float = 0.5
    """Share of each head's rotary pairs that turn by musical time, in bars, not by the token's index (transformer
    only; needs the first two attributes)."""

    def __post_init__(self) -> None:
        """Fill the default of `d_ff` and check the fields against each other; raises ModelError."""
        object.__setattr__(self, "attribute_sizes", tuple(int(size) for size in self.attribute_sizes))
        if self.d_ff == 0:
            object.__setattr__(self, "d_ff", 4 * self.d_model)
        if self.architecture not in ("transformer", "rnn"):
            raise ModelError(f"unknown architecture {self.architecture!r}: use transformer or rnn")
        for name in ("vocab_size", "d_model", "n_layer", "n_head", "n_kv_head", "d_ff", "context"):
            if getattr(self, name) < 1:
                raise ModelError(f"{name} is {getattr(self, name)}: it must be at least 1")
        if min(self.attribute_sizes, default=1) < 1:
            raise ModelError(f"attribute_sizes {self.attribute_sizes}: each must be at least 1")
        self._check_transformer()
        if not 0 <= self.dropout < 1:
            raise ModelError(f"dropout is {self.dropout}: it must lie in [0, 1)")

    def _check_transformer(self) -> None:
        """The widths and the rotary pairs."""
        if self.d_model % WIDTH_MULTIPLE or self.d_ff % WIDTH_MULTIPLE:
            raise ModelError(f"d_model {self.d_model} and d_ff {self.d_ff} must be multiples of {WIDTH_MULTIPLE}")
        if self.d_model % self.n_head or self.d_head % 2:
            raise ModelError(f"d_model {self.d_model} must split into {self.n_head} heads of an even width")
        if self.n_head % self.n_kv_head:
            raise ModelError(f"n_kv_head {self.n_kv_head} must divide n_head {self.n_head}")
        if self.rope_theta <= 1:
            raise ModelError(f"rope_theta is {self.rope_theta}: it must be above 1")
        if not 0 <= self.musical_share <= 1:
            raise ModelError(f"musical_share is {self.musical_share}: it must lie in [0, 1]")
        if self.architecture == "transformer" and self.musical_pairs and len(self.attribute_sizes) < 2:
            raise ModelError("musical_share needs the attributes of the place in the bar; use 0 without attributes")

    @property
    def d_head(self) -> int:
        """Width of one attention head."""
        return self.d_model // self.n_head

    @property
    def musical_pairs(self) -> int:
        """How many of a head's d_head / 2 rotary pairs turn by musical time."""
        return round(self.musical_share * self.d_head / 2)

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON can hold them."""
        return {**asdict(self), "attribute_sizes": list(self.attribute_sizes)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelConfig:
        """A record from what `to_dict` gave; unknown, missing or unusable fields raise ModelError."""
        return _from_dict(cls, values)


Record = TypeVar("Record")


def _from_dict(cls: type[Record], values: Mapping[str, Any]) -> Record:
    known = {field.name for field in fields(cls)}  # type: ignore[arg-type]  # both kinds are dataclasses
    if unknown := sorted(set(values) - known):
        raise ModelError(f"the configuration has fields this version does not know: {', '.join(unknown)}")
    try:
        return cls(**values)
    except TypeError as error:
        raise ModelError(f"the configuration is not usable: {error}") from error


PRESETS: dict[str, dict[str, Any]] = {
    # Sizes with about 1,300 ids and 200 attribute values; `small` and `lstm` have equal parameter counts.
    "tiny": {
        "architecture": "transformer",
        "d_model": 32,
        "n_layer": 2,
        "n_head": 2,
        "d_ff": 64,
        "context": 128,
    },
    "tiny-lstm": {"architecture": "rnn", "d_model": 32, "n_layer": 2, "d_ff": 32, "context": 128},
    "small": {"architecture": "transformer", "d_model": 256, "n_layer": 6, "n_head": 4},
    "base": {"architecture": "transformer", "d_model": 320, "n_layer": 8, "n_head": 5},
    "ship": {
        "architecture": "transformer",
        "d_model": 384,
        "n_layer": 8,
        "n_head": 6,
        "d_ff": 1536,
        "context": 2048,
    },
    "lstm": {"architecture": "rnn", "d_model": 256, "n_layer": 2, "d_ff": 528},
    "tiny-diffusion": {"architecture": "dit", "d_model": 32, "n_layer": 2, "n_head": 2, "context": 16},
    "diffusion": {"architecture": "dit", "d_model": 256, "n_layer": 6, "n_head": 4},
}


@dataclass(frozen=True)
class DitConfig:
    """The shape of a diffusion transformer over piano rolls (models/dit.py)."""

    condition_sizes: tuple[int, ...]
    """How many values each condition of a whole clip can take, 0 among them, which says nothing."""
    beat_sizes: tuple[int, ...]
    """How many values each fact of a beat can take."""
    chord_size: int
    """How many numbers tell the chord of a beat."""
    architecture: Literal["dit"] = "dit"
    n_parts: int = 4
    """P: parts of a roll."""
    n_pitches: int = 84
    """K: pitches of a roll."""
    beat: int = 4
    """Steps in a patch."""
    patch_pitches: int = 84
    """Pitches in a patch; with all of them, a beat is one token."""
    d_column: int = 48
    """Width of the network of each column: a pitch of a part in a beat."""
    n_before: int = 1
    """Lattice layers between columns before the tokens are made of them."""
    n_behind: int = 2
    """Lattice layers between columns behind the tokens."""
    d_lattice: int = 12
    """Channels of a lattice layer that hear all parts; three times as many hear their own, twice other beats."""
    n_glances: int = 8
    """Ways in which a lattice layer attends to other beats; they share its channels for it evenly."""
    n_features: int = 8
    """Numbers that a column gives to its token, and the token to the column."""
    d_model: int = 256
    n_layer: int = 6
    n_head: int = 4
    d_ff: int = 0
    """Inner width of the feed-forward layer. 0: four times d_model."""
    context: int = 32
    """Beats in a clip as training shows it: eight bars of 4/4."""
    dropout: float = 0.1
    sigma_min: float = 0.1
    """Noise below which the state of a cell is plain to see: thresholds make no error."""
    sigma_max: float = 20.0
    """Noise in which a clip cannot be seen: two clips are about 30 apart."""

    def __post_init__(self) -> None:
        """Fill the default of `d_ff` and check the fields against each other; raises ModelError."""
        for name in ("condition_sizes", "beat_sizes"):
            object.__setattr__(self, name, tuple(int(size) for size in getattr(self, name)))
        if self.d_ff == 0:
            object.__setattr__(self, "d_ff", 4 * self.d_model)
        if self.architecture != "dit":
            raise ModelError(f"unknown architecture {self.architecture!r}: use dit")
        for name in ("n_parts", "n_pitches", "beat", "patch_pitches", "d_column", "d_lattice", "n_glances",
                     "n_features", "d_model", "n_layer", "n_head", "context"):  # fmt: skip
            if getattr(self, name) < 1:
                raise ModelError(f"{name} is {getattr(self, name)}: it must be at least 1")
        if self.n_pitches % self.patch_pitches:
            raise ModelError(f"patch_pitches {self.patch_pitches} must divide n_pitches {self.n_pitches}")
        if min(self.n_before, self.n_behind) < 0:
            raise ModelError(f"n_before {self.n_before} and n_behind {self.n_behind} must not be negative")
        if 2 * self.d_lattice % self.n_glances:
            raise ModelError(f"n_glances {self.n_glances} must divide 2 * d_lattice, {2 * self.d_lattice}")
        if self.d_model % self.n_head or self.d_model // self.n_head % 4:
            raise ModelError(f"d_model {self.d_model} must split into {self.n_head} heads of a width that 4 divides")
        if not 0 <= self.dropout < 1:
            raise ModelError(f"dropout is {self.dropout}: it must lie in [0, 1)")
        if not 0 < self.sigma_min < self.sigma_max:
            raise ModelError(f"sigma_min {self.sigma_min} must lie between 0 and sigma_max {self.sigma_max}")

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON can hold them."""
        return {**asdict(self), "condition_sizes": list(self.condition_sizes), "beat_sizes": list(self.beat_sizes)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DitConfig:
        """A record from what `to_dict` gave; unknown, missing or unusable fields raise ModelError."""
        return _from_dict(cls, values)


Shape = ModelConfig | DitConfig


def shape_of(values: Mapping[str, Any]) -> Shape:
    """The record, of whichever architecture, that `to_dict` gave; raises ModelError as `from_dict`."""
    return (DitConfig if values.get("architecture") == "dit" else ModelConfig).from_dict(values)


def preset(name: str, vocab_size: int, attribute_sizes: tuple[int, ...], **changes: Any) -> ModelConfig:
    """The named size for a vocabulary, with any field changed; an unknown name raises ModelError."""
    if name not in PRESETS:
        raise ModelError(f"unknown model size {name!r}: use one of {', '.join(PRESETS)}")
    values = {**PRESETS[name], "vocab_size": vocab_size, "attribute_sizes": attribute_sizes, **changes}
    return ModelConfig.from_dict(values)


def roll_preset(
    name: str, condition_sizes: Sequence[int], beat_sizes: Sequence[int], chord_size: int, **changes: Any
) -> DitConfig:
    """The named size of a diffusion model for these conditions, with any field changed."""
    sizes = {"condition_sizes": condition_sizes, "beat_sizes": beat_sizes, "chord_size": chord_size}
    return DitConfig.from_dict({**PRESETS[name], **sizes, **changes})


def parameters(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """The names and shapes of what such a network learns."""
    c, f = config.d_model, config.d_ff
    shapes: dict[str, tuple[int, ...]] = {
        "embedding.weight": (config.vocab_size + sum(config.attribute_sizes), c),
        "norm.weight": (c,),
    }
    for layer in range(config.n_layer):
        if config.architecture == "rnn":
            shapes |= {
                f"lstm.weight_ih_l{layer}": (4 * f, f if layer else c),
                f"lstm.weight_hh_l{layer}": (4 * f, f),
                f"lstm.bias_ih_l{layer}": (4 * f,),
                f"lstm.bias_hh_l{layer}": (4 * f,),
            }
            continue
        name = f"blocks.{layer}."
        shapes |= {
            f"{name}attention_norm.weight": (c,),
            f"{name}attention.qkv.weight": ((config.n_head + 2 * config.n_kv_head) * config.d_head, c),
            f"{name}attention.out.weight": (c, c),
            f"{name}feed_norm.weight": (c,),
            f"{name}feed_in.weight": (f, c),
            f"{name}feed_out.weight": (c, f),
        }
    return shapes | ({"out.weight": (c, f)} if config.architecture == "rnn" else {})
