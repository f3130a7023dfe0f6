"""How much a new piece may share with the training set, and with which seed it is drawn again if it shares more."""

from __future__ import annotations

import numpy as np

from musegen.compose.piece import rescaled
from musegen.compose.request import Request
from musegen.errors import RequestError
from musegen.evaluate.originality import Passage, longest_passage
from musegen.evaluate.originality_index import Index
from musegen.score.model import Score

ATTEMPTS = 8
"""Drafts of a piece before it is given up."""


def copied(index: Index, request: Request, score: Score) -> Passage | None:
    """The passage by which a piece shares more than its request allows; the notes of a motif are the user's own."""
    if request.max_copy is None:
        return None
    given = 0 if request.motif is None else rescaled(request.motif, score.ticks_per_beat).end
    passage = longest_passage(index, score, given)
    return passage if passage.notes > request.max_copy else None


def seed_of(seed: int, attempt: int) -> int:
    """The seed of a draft, `attempt` from 0: the piece's own, then one that follows from both and is no neighbour's."""
    if attempt == 0:
        return seed
    return int(np.random.SeedSequence([seed, attempt]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def check_attempts(request: Request, attempt: int, passage: Passage) -> None:
    """Raise RequestError if after this draft, `attempt` from 0, none is left: all were drawn, or nothing is drawn."""
    sampling = request.sampling
    drawn = sampling.search == "sample" and sampling.temperature > 0
    if drawn and attempt + 1 < ATTEMPTS:
        return
    assert passage.work is not None
    drafts = f"{attempt + 1} drafts were drawn, and each" if drawn else "the likeliest piece"
    mend = "raise the temperature" if drawn else "let it be sampled (search sample, a temperature above 0)"
    raise RequestError(
        f"seed {request.seed}: {drafts} shares more than {request.max_copy} notes with the training set, the last "
        f'{passage.notes} with "{passage.work.title}" ({passage.work.source}); allow more (max_copy), or {mend}'
    )
