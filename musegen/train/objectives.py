"""What a run learns, by the kind of its network: how batches are drawn, what they cost, what is measured of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from musegen.corpus.shards import Piece, Split
from musegen.evaluate.likelihood import Likelihood, evaluate
from musegen.models.dit import Dit
from musegen.shapes import Shape
from musegen.train.config import TrainConfig
from musegen.train.data import Sampler
from musegen.train.distributed import Place, parted
from musegen.train.loader import read_ahead, read_batches
from musegen.train.objective import loss, scorer
from musegen.train.roll_facts import roll_facts
from musegen.train.roll_objective import measure_rolls, roll_loss
from musegen.train.rolls import RollSampler


class Drawn(Protocol):
    """A batch as it is drawn."""

    @property
    def n_targets(self) -> int:
        """How many tokens, or notes, are learned from."""

    def share(self, place: Place, /) -> Any:
        """What the loss takes of it in this process."""


@dataclass(frozen=True)
class Objective:
    """What a kind of network is trained by.

    Attributes:
        sampler: draws batches of a split, by their number.
        batches: those of a sampler from a number on, drawn by so many processes.
        loss: summed over what a batch shares with this process, in nats.
        measure: the held-out likelihood of each source and of all, of pieces, in a context.
        prepare: sets what the data tells of a new network, before the first step.
        facts: what a model's file says of it besides, of the model, what it learned from, valid and the place.
        tokens_a_context: about how many tokens of a piece fill a context, by which short pieces are known.
    """

    sampler: Callable[[Split, TrainConfig, Any], Any]
    batches: Callable[..., Iterator[Drawn]]
    loss: Callable[[nn.Module, Any], Tensor]
    measure: Callable[[Any, Split | Sequence[Piece], int, Place], dict[str, Likelihood]]
    prepare: Callable[[Any, Any], None]
    facts: Callable[[Any, Split, Split, Place], dict[str, Any]]
    tokens_a_context: int


def _measure_tokens(model: Any, pieces: Split | Sequence[Piece], context: int, _place: Place) -> dict[str, Likelihood]:
    return evaluate(scorer(model), pieces, context)


def _measure_rolls(model: Any, pieces: Split | Sequence[Piece], _context: int, place: Place) -> dict[str, Likelihood]:
    return measure_rolls(model, pieces, place)


def _set_prior(model: Dit, sampler: RollSampler) -> None:
    with torch.no_grad():
        model.prior.copy_(parted(torch.from_numpy(sampler.log_odds()).flatten(), model.prior))


TOKENS = Objective(
    lambda split, config, _shape: Sampler(split, config),
    read_ahead,
    loss,
    _measure_tokens,
    lambda _model, _sampler: None,
    lambda _model, _learned, _valid, _place: {},
    1,
)
ROLLS = Objective(RollSampler, read_batches, roll_loss, _measure_rolls, _set_prior, roll_facts, 16)

OBJECTIVES: Mapping[str, Objective] = {"transformer": TOKENS, "rnn": TOKENS, "dit": ROLLS}


def objective_of(shape: Shape) -> Objective:
    """What a network of this shape is trained by."""
    return OBJECTIVES[shape.architecture]
