"""The composer that writes token by token: Request -> tokens -> Score, with a transformer or an LSTM."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from musegen.compose.continuation import Prompt, join, prompt_of
from musegen.compose.copying import check_attempts, copied, seed_of
from musegen.compose.piece import finish, melody, rescaled, stamped
from musegen.compose.plan import Plan, PlannedState, any_of, only, scale_row
from musegen.compose.request import Request
from musegen.decoding.generate import Ending, generate
from musegen.decoding.protocol import Network
from musegen.errors import RequestError
from musegen.evaluate import originality_index
from musegen.score.model import KeySignature, Score, TimeSignature, Track
from musegen.score.theory import Key
from musegen.tokens import STYLES, VOCABULARY, Constraints, Controls, Remi
from musegen.tokens.state import BoolRow
from musegen.tokens.vocabulary import DRUM_PROGRAM, KEYS, MAX_BARS_LEFT, METRES, STEPS_PER_QUARTER, TEMPI

STYLE_INSTRUMENTS: dict[str, tuple[int, ...]] = {"folk": (73,), "chorale": (52,) * 4, "hymn": (52,) * 4}
"""What a style is written for when no instrument is asked for: the programs its training pieces have."""

MAX_TOKENS_A_BAR = 400
"""A row that needs more than this many tokens for each of its bars is given up."""


@dataclass(frozen=True)
class Progress:
    """Piece `index` has `bars_done` of its `bars` new bars, in its draft `redraw` (0 is the first)."""

    index: int
    bars_done: int
    bars: int
    redraw: int = 0


@dataclass(frozen=True)
class Piece:
    """Piece `index` is finished, having been drawn again so often because it copied more than it might."""

    index: int
    score: Score
    redraws: int = 0


@dataclass
class _Row:
    """One request on its way."""

    request: Request
    prompt: Prompt | None
    state: PlannedState
    ids: list[int]
    bars: int = 0
    index: int = 0
    attempt: int = 0


class AutoregressiveComposer:
    """A trained network behind requests.

    Attributes:
        name: what the model is called; checksum: of its weights; card: what its file says of it.
        styles: the styles it was trained on.
    """

    def __init__(self, name: str, model: Any, card: dict[str, Any], checksum: str) -> None:
        self.name = name
        self.card = card
        self.checksum = checksum
        self.styles: tuple[str, ...] = tuple(card.get("styles") or STYLES)
        self._model: Network = model
        self._context: int = model.config.context
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
        rows = [self._begin(request, index) for index, request in enumerate(requests)]
        index = originality_index.load(originality_index.beside(self.name)) if _must_check(requests) else None
        while rows:
            again = []
            for options in dict.fromkeys(row.request.sampling for row in rows):
                for event in self._write([row for row in rows if row.request.sampling == options]):
                    if isinstance(event, Progress):
                        yield event
                        continue
                    score = self._finish(event)
                    passage = None if index is None else copied(index, event.request, score)
                    if passage is None:
                        yield Piece(event.index, score, event.attempt)
                    else:
                        check_attempts(event.request, event.attempt, passage)
                        again.append(self._begin(requests[event.index], event.index, event.attempt + 1))
            rows = again

    def _write(self, rows: Sequence[_Row]) -> Iterator[Progress | _Row]:
        """Write rows of the same sampling options, telling of each finished bar and giving each row as it ends."""
        bar = any_of("Bar")
        steps = generate(
            self._model,
            [row.state for row in rows],
            [self._read(row.ids) for row in rows],
            rows[0].request.sampling,
            [seed_of(row.request.seed, row.attempt) for row in rows],
            max_tokens=MAX_TOKENS_A_BAR * max(row.request.bars for row in rows),
            context=self._context,
            is_bar=bar,
        )
        for step in steps:
            for k, token in zip(step.rows, step.ids, strict=True):
                row = rows[k]
                row.ids.append(int(token))
                if bar[token]:
                    yield Progress(row.index, row.bars, row.request.bars, row.attempt)
                    row.bars += 1
            for k, ending in step.endings.items():
                if ending is not Ending.DONE:
                    raise RequestError(
                        f"seed {rows[k].request.seed}: the piece would not end within "
                        f"{MAX_TOKENS_A_BAR} tokens a bar; try another seed or a lower temperature"
                    )
                yield rows[k]

    def _read(self, ids: Sequence[int]) -> tuple[Any, Any]:
        """A prompt's ids and attributes; before the first bar every token has those of the head."""
        array = np.array(ids, np.int64)
        if len(self._tokenizer.bar_offsets(array)):
            return array, self._tokenizer.attributes(array)
        start = self._tokenizer.grammar().start()
        return array, np.array([start.attributes] * len(array), np.int16)

    def _begin(self, request: Request, index: int, attempt: int = 0) -> _Row:
        """The state and the prompt of a request, the `index`th, for its draft `attempt`."""
        if request.style is not None and request.style not in self.styles:
            raise RequestError(f"{self.name} knows the styles {', '.join(self.styles)}, not {request.style!r}")
        if request.prompt is not None:
            return self._begin_continuation(request, request.prompt, index)
        request = _with_style(request)
        if request.motif is not None:
            request = _framed_by(request, request.motif)
        constraints = Constraints(request.bars, _pitches(request, request.key), request.polyphony)
        plan = self._plan(request)
        state = PlannedState(self._tokenizer.grammar(constraints).start(), plan)
        bos = VOCABULARY.id("BOS")
        state.advance(bos)
        return _Row(request, None, state, [bos], index=index, attempt=attempt)

    def _begin_continuation(self, request: Request, piece: Score, index: int) -> _Row:
        controls = Controls(style=request.style, density=request.density)
        prompt = prompt_of(piece, request.from_bar, request.bars, controls, self._context * 3 // 4)
        constraints = Constraints(prompt.shown + request.bars, _pitches(request, None), request.polyphony)
        state = PlannedState(self._tokenizer.grammar(constraints).start(), Plan(in_scale=request.scale == "strict"))
        ids = [int(token) for token in prompt.ids]
        key = _key_said(ids)
        if request.scale == "strict" and key is None and request.key is None:
            raise RequestError("the piece says no key, so a strict scale needs one: give it (--key)")
        if request.scale == "strict" and request.key is not None:
            constraints = replace(constraints, pitches=_pitches(request, request.key))
            state = PlannedState(self._tokenizer.grammar(constraints).start(), Plan())
        for token in ids:
            state.advance(token)
        return _Row(request, prompt, state, ids, index=index)

    def _plan(self, request: Request) -> Plan:
        """What the head must say, in its order, and what the motif settles."""
        word = VOCABULARY.id
        head: list[BoolRow] = []
        if request.style is not None:
            head.append(only(word("Style", STYLES.index(request.style))))
        head.append(_keys_for(request))
        head.append(any_of("Metre") if request.meter is None else only(word("Metre", _metre_value(request.meter))))
        head.append(any_of("Tempo") if request.tempo is None else only(word("Tempo", _tempo_value(request.tempo))))
        head.append(only(word("Bars", min(request.bars - 1, MAX_BARS_LEFT))))
        if request.density is not None:
            head.append(only(word("Density", request.density - 1)))
        for program, is_drum in request.instruments:
            head.append(only(word("Instrument", DRUM_PROGRAM if is_drum else program)))
        head.append(only(word("Bar", min(request.bars - 1, MAX_BARS_LEFT))))
        written, until = ({}, 0) if request.motif is None else self._written(request, request.motif)
        return Plan(head, written, until, in_scale=request.scale == "strict")

    def _written(self, request: Request, motif: Score) -> tuple[dict[int, list[int]], int]:
        """The motif's tokens bar by bar, and the step up to which it reaches."""
        motif = rescaled(motif, STEPS_PER_QUARTER * 20)
        assert request.meter is not None
        frame = Score(
            motif.ticks_per_beat,
            (Track(melody(motif), program=request.instruments[0][0]),),
            time_signatures=(TimeSignature(0, *request.meter),),
        )
        steps = -(-motif.end * STEPS_PER_QUARTER // motif.ticks_per_beat)
        bar = 4 * STEPS_PER_QUARTER * request.meter[0] // request.meter[1]
        if steps > request.bars * bar:
            raise RequestError(f"the motif is longer than {request.bars} bars; ask for more bars")
        ids = self._tokenizer.encode(frame, ends=False)
        bars = [*self._tokenizer.bar_offsets(ids).tolist(), len(ids)]
        return {k: ids[a + 1 : b].tolist() for k, (a, b) in enumerate(pairwise(bars))}, steps

    def _finish(self, row: _Row) -> Score:
        score = self._tokenizer.decode(np.array(row.ids, np.int64))
        if row.prompt is None:
            score = finish(score, row.request)
        else:
            score = join(row.prompt, score, row.request.bars, only_new=row.request.only_new)
        made = {"model": self.name, "checksum": self.checksum, "seed": row.request.seed}
        if row.request.max_copy is not None:
            made |= {"max_copy": row.request.max_copy, "redraws": row.attempt}
        if row.request.made_with:
            made["command"] = row.request.made_with
        return stamped(score, made)


def _must_check(requests: Sequence[Request]) -> bool:
    """Whether any of them limits what may be copied, so that the index is needed."""
    return any(request.max_copy is not None for request in requests)


def _with_style(request: Request) -> Request:
    """The request with a style where nothing says what to write for, and with the style's instruments."""
    if request.style is None and not request.instruments:
        request = replace(request, style="folk")
    if not request.instruments:
        programs = STYLE_INSTRUMENTS.get(request.style or "", (0,))
        request = replace(request, instruments=tuple((program, False) for program in programs))
    return request


def _framed_by(request: Request, motif: Score) -> Request:
    """The request with the metre, key and tempo that the motif's file says, where nothing else does."""
    if sum(len(track.notes) > 0 for track in motif.tracks) != 1:
        raise RequestError("a motif is one line of notes; to go on from a piece of several tracks, continue it")
    metre = (motif.time_signatures or (TimeSignature(0, 4, 4),))[0]
    key = Key.from_signature(motif.key_signatures[0]) if motif.key_signatures else None
    return replace(
        request,
        meter=request.meter or (metre.numerator, metre.denominator),
        key=request.key or key,
        tempo=request.tempo or (motif.tempos[0].qpm if motif.tempos else None),
    )


def _pitches(request: Request, key: Key | None) -> BoolRow | None:
    """(128,) the pitches that the request allows: its range, and its scale where the key is known."""
    low, high = request.pitch_range or (0, 127)
    row = (np.arange(128) >= low) & (np.arange(128) <= high)
    if request.scale == "strict" and key is not None:
        row &= scale_row(key)
        if not row.any():
            raise RequestError(f"no pitch of {key.name} lies between {low} and {high}; widen the range")
    return None if row.all() else row


def _keys_for(request: Request) -> BoolRow:
    """The keys the head may say: the one asked for, those that hold the motif, or any."""
    if request.key is not None:
        return only(VOCABULARY.id("Key", KEYS.index((request.key.fifths, request.key.mode))))
    if request.motif is not None:
        used = np.unique(melody(request.motif)["pitch"])
        keys = [Key.from_signature(KeySignature(0, *key)) for key in KEYS]
        fitting = [v for v, key in enumerate(keys) if abs(KEYS[v][0]) <= 5 and scale_row(key)[used].all()]
        if fitting:
            return only(*(VOCABULARY.id("Key", value) for value in fitting))
    return any_of("Key")


def _metre_value(meter: tuple[int, int]) -> int:
    if meter not in METRES:
        raise RequestError(f"the metre {meter[0]}/{meter[1]} has bars of more than eight quarters, which models lack")
    return METRES.index(meter)


def _tempo_value(tempo: float) -> int:
    return int(np.abs(np.log(np.array(TEMPI)) - np.log(tempo)).argmin())


def _key_said(ids: Sequence[int]) -> Key | None:
    """The key in a prompt's head."""
    block = VOCABULARY.blocks["Key"]
    said = [token - block.start for token in ids if block.start <= token < block.stop]
    return Key.from_signature(KeySignature(0, *KEYS[said[0]])) if said else None
