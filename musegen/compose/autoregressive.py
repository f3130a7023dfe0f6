"""The composer that writes token by token: Request -> tokens -> Score, with a transformer or an LSTM."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from musegen.compose.continuation import continuation, continued
from musegen.compose.copying import check_attempts, copied, seed_of
from musegen.compose.events import Piece, Progress
from musegen.compose.filling import Task, passage_of, task_of
from musegen.compose.guidance import Shadow, unasked
from musegen.compose.opening import opened, pitches_for
from musegen.compose.passage import Passage, join
from musegen.compose.piece import finish, signed
from musegen.compose.plan import Plan, PlannedState, any_of
from musegen.compose.request import STYLE_GUIDANCE, Request, may_be_parallel
from musegen.compose.style import styled
from musegen.decoding.filters import SamplingOptions
from musegen.decoding.generate import Ending, generate
from musegen.decoding.protocol import Network
from musegen.errors import RequestError
from musegen.evaluate import originality_index
from musegen.score import timing
from musegen.score.model import Score
from musegen.score.theory import Key
from musegen.tokens import STYLES, VOCABULARY, Constraints, Controls, Remi
from musegen.tokens.vocabulary import N_POLYPHONIES
from musegen.tokens.writer import Ids

MAX_TOKENS_A_BAR = 400
"""A row that needs more than this many tokens for each of its bars is given up."""

_BAR = VOCABULARY.blocks["Bar"]


@dataclass
class _Row:
    """One request on its way, or one passage of it.

    Attributes:
        request: what is asked for; index: the how manyth it is.
        state: advanced through `ids`, of which the first `n_prompt` are the prompt; places: their attributes.
        unasked: the prompt without what was asked for, which guidance reads beside it.
        passage: what of a given piece is shown and written, and task: what of it is filled in in all.
        bars: how many are written, those of the passages before with them.
        attempt: which draft of a piece, and part: which passage, this is.
    """

    request: Request
    index: int
    state: PlannedState
    ids: list[int]
    places: list[tuple[int, ...]]
    unasked: Ids
    passage: Passage | None = None
    task: Task | None = None
    bars: int = 0
    attempt: int = 0
    part: int = 0


class AutoregressiveComposer:
    """A trained network behind requests.

    Attributes:
        name: what the model is called; checksum: of its weights; card: what its file says of it.
        styles: the styles it was trained on.
    """

    def __init__(self, name: str, network: Network, context: int, card: dict[str, Any], checksum: str) -> None:
        self.name = name
        self.card = card
        self.checksum = checksum
        self.styles: tuple[str, ...] = tuple(card.get("styles") or STYLES)
        self._network = network
        self._context = context
        self._tokenizer = Remi()

    def compose(self, requests: Sequence[Request]) -> list[Score]:
        """The piece of each request."""
        pieces: dict[int, Score] = {}
        for event in self.stream(requests):
            if isinstance(event, Piece):
                pieces[event.index] = event.score
        return [pieces[i] for i in range(len(requests))]

    def stream(self, requests: Sequence[Request]) -> Iterator[Progress | Piece]:
        """Compose, telling of each finished bar and giving each piece as it ends.

        Raises:
            RequestError: for what this model cannot do.
        """
        rows, same = [], []
        for number, request in enumerate(requests):
            refuse_denoising(request, self.name)
            if request.vary is not None and not task_of(request).cells.any():
                assert request.prompt is not None
                same.append(Piece(number, signed(request.prompt, request, self.name, self.checksum)))
            else:
                rows.append(self._begin(request, number))
        yield from same
        index = originality_index.load(originality_index.beside(self.name)) if _must_check(requests) else None
        while rows:
            again = []
            for options in dict.fromkeys(row.request.sampling for row in rows):
                for event in self._write([row for row in rows if row.request.sampling == options]):
                    if isinstance(event, Progress):
                        yield event
                        continue
                    score = self._take(event)
                    if isinstance(score, _Row):
                        again.append(score)
                        continue
                    passage = None if index is None else copied(index, event.request, score)
                    if passage is None:
                        yield Piece(event.index, score, event.attempt)
                    else:
                        check_attempts(event.request, event.attempt, passage)
                        again.append(self._begin(requests[event.index], event.index, event.attempt + 1))
            rows = again

    def _write(self, rows: Sequence[_Row]) -> Iterator[Progress | _Row]:
        """Write rows of the same sampling options, telling of each finished bar and giving each row as it ends."""
        options = rows[0].request.sampling
        shadows = [Shadow(row.state, row.unasked) for row in rows] if options.is_guided else []
        steps = generate(
            self._network,
            [row.state for row in rows],
            [(np.array(row.ids, np.int64), np.array(row.places, np.int64)) for row in rows],
            options,
            [seed_of(row.request.seed, row.attempt + row.part) for row in rows],  # never both: see Request
            max_tokens=MAX_TOKENS_A_BAR * max(row.request.new_bars for row in rows),
            context=self._context,
            is_bar=any_of("Bar"),
            shadows=[(shadow, (shadow.prompt, shadow.places)) for shadow in shadows],
        )
        for step in steps:
            for k, token in zip(step.rows, step.ids, strict=True):
                row = rows[k]
                row.ids.append(token)
                if _BAR.start <= token < _BAR.stop:
                    yield Progress(row.index, row.bars, row.request.new_bars, row.attempt)
                    row.bars += 1
            for k, ending in step.endings.items():
                if ending is not Ending.DONE:
                    raise RequestError(
                        f"seed {rows[k].request.seed}: the piece would not end within "
                        f"{MAX_TOKENS_A_BAR} tokens a bar; try another seed or a lower temperature"
                    )
                yield rows[k]

    def _begin(self, request: Request, index: int, attempt: int = 0) -> _Row:
        """The state and the prompt of a request, the `index`th, for its draft `attempt`."""
        self._check_style(request.style)
        request = styled(request, self.card)
        request = replace(request, sampling=_guided(request))
        if request.infill is not None or request.harmonize or request.vary is not None:
            task = task_of(request)
            self._check_style(task.style)
            return self._begin_passage(request, index, task)
        if request.prompt is not None:
            passage = continuation(request, _controls(request), self._room)
            shown = passage.total - request.bars
            plan = Plan(harmony=request.harmony, harmony_from=shown)
            return self._shown(request, index, passage, passage.first + shown, plan, request.style)
        request, state = opened(request, self.card.get("keys", {}))
        bos = np.array([VOCABULARY.id("BOS")], np.int32)
        return _Row(request, index, state, bos.tolist(), _advanced(state, bos), bos, attempt=attempt)

    def _begin_passage(self, request: Request, index: int, task: Task) -> _Row:
        """The next passage of what is to be filled in."""
        controls = replace(_controls(request), style=task.style)
        passage = passage_of(task, controls, self._room, one_key=request.scale == "strict")
        first_new = passage.first + int(passage.cells.any(axis=0).argmax())
        return replace(self._shown(request, index, passage, first_new, Plan(), task.style), task=task)

    def _check_style(self, style: str | None) -> None:
        if style is not None and style not in self.styles:
            raise RequestError(f"{self.name} knows the styles {', '.join(self.styles)}, not {style!r}")

    @property
    def _room(self) -> int:
        """How many tokens a prompt may take, so that the model keeps it in sight for a while."""
        return self._context * 3 // 4

    def _shown(
        self, request: Request, index: int, passage: Passage, first_new: int, plan: Plan, style: str | None
    ) -> _Row:
        """A row that goes on from a passage, whose first new bar is the piece's bar `first_new`."""
        key = request.key or _key_at(passage.piece, first_new)
        if request.scale == "strict" and key is None:
            raise RequestError("the piece says no key, so a strict scale needs one: give it (--key)")
        constraints = Constraints(
            passage.total,
            pitches_for(request, key),
            request.polyphony,
            parallels=may_be_parallel(request, style),
        )
        state = PlannedState(self._tokenizer.grammar(constraints).start(), plan)
        places = _advanced(state, passage.ids)
        bare = unasked(passage.ids_without_chords if request.chords else passage.ids)
        return _Row(request, index, state, passage.ids.tolist(), places, bare, passage)

    def _take(self, row: _Row) -> Score | _Row:
        """The finished piece of a row that has ended, or the row of its next passage."""
        ids = np.array(row.ids, np.int64)
        if row.task is not None:
            assert row.passage is not None
            task = row.task.join(row.passage, self._tokenizer.grid(ids))
            if task.cells.any():
                following = self._begin_passage(row.request, row.index, task)
                return replace(following, bars=row.bars, part=row.part + 1)
            score = task.piece
        elif row.passage is not None:
            written, bars = self._tokenizer.grid(ids), row.request.bars
            first_new = row.passage.first + row.passage.total - bars
            score = continued(join(row.passage, written), first_new, written.metres[-bars:], row.request)
        else:
            score = finish(self._tokenizer.decode(ids), row.request)
        return signed(score, row.request, self.name, self.checksum, row.attempt)


def refuse_denoising(request: Request, name: str) -> None:
    """Raise RequestError for what only a diffusion model takes."""
    for option in fields(request.denoising):
        if getattr(request.denoising, option.name) is not None:
            raise RequestError(f"{option.name} is for diffusion models, and {name} writes tokens; leave it out")


def _guided(request: Request) -> SamplingOptions:
    """The sampling options, with the guidance of the style where none is asked for."""
    sampling = request.sampling
    if sampling.guidance is None and sampling.search != "beam":
        return replace(sampling, guidance=STYLE_GUIDANCE.get(request.style or "", 1.0))
    return sampling


def _must_check(requests: Sequence[Request]) -> bool:
    """Whether any of them limits what may be copied, so that the index is needed."""
    return any(request.max_copy is not None for request in requests)


def _advanced(state: PlannedState, ids: Ids) -> list[tuple[int, ...]]:
    """Take a state through a prompt; the attributes of each of its tokens."""
    places = []
    for token in ids.tolist():
        state.advance(token)
        places.append(state.attributes)
    return places


def _controls(request: Request) -> Controls:
    """What the head of a prompt says of what was asked for."""
    low, high = request.pitch_range or (None, None)
    polyphony = None if request.polyphony is None else min(request.polyphony, N_POLYPHONIES)
    return Controls(request.style, density=request.density, polyphony=polyphony, low=low, high=high)


def _key_at(piece: Score, bar: int) -> Key | None:
    """The key in force at a bar."""
    found = timing.key_at(piece, int(timing.bar_starts(piece, bar)[bar]))
    return None if found is None else Key.from_signature(found)
