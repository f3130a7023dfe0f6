"""The composer that writes whole clips at once: Request -> piano roll -> Score, by a diffusion model."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from musegen import conditions, roll
from musegen.compose.canvas import Canvas, canvas_of, join, sounding_at_once, thinned, ticks_of, written_notes
from musegen.compose.continuation import continued, cut_before
from musegen.compose.copying import check_attempts, copied, seed_of
from musegen.compose.denoising import Recipe, draw
from musegen.compose.events import Piece, Progress
from musegen.compose.filling import Task, anew, sounding, task_of, with_harmony
from musegen.compose.harmony import as_chords
from musegen.compose.opening import framed, keys_of_motif
from musegen.compose.piece import finish, melody, rescaled, signed
from musegen.compose.request import Request
from musegen.compose.style import drawn_frame, styled
from musegen.decoding.filters import SamplingOptions
from musegen.diffusion import sampler
from musegen.errors import RequestError
from musegen.evaluate import originality_index
from musegen.models.dit import Dit
from musegen.score import timing
from musegen.score.model import Array, Score, Tempo, TimeSignature, Track
from musegen.score.ops import slice_bars
from musegen.score.theory import Key, parse_key
from musegen.tokens import STYLES, to_grid
from musegen.tokens.grid import IntArray

ATTEMPTS = 8
"""Drafts of a clip before one without a note is given up."""
USUAL_MIN_P = 0.01
"""What the command line gives models of tokens where nothing is asked for."""


class DiffusionComposer:
    """A trained diffusion model behind requests.

    Attributes:
        name: what the model is called; checksum: of its weights; card: what its file says of it.
        styles: the styles it was trained on.
    """

    def __init__(self, name: str, network: Dit, card: dict[str, Any], checksum: str) -> None:
        self.name = name
        self.card = card
        self.checksum = checksum
        self.styles: tuple[str, ...] = tuple(card.get("styles") or STYLES)
        self._network = network

    def compose(self, requests: Sequence[Request]) -> list[Score]:
        """The piece of each request."""
        pieces = {event.index: event.score for event in self.stream(requests) if isinstance(event, Piece)}
        return [pieces[i] for i in range(len(requests))]

    def stream(self, requests: Sequence[Request]) -> Iterator[Progress | Piece]:
        """Compose one piece after the other, telling of progress.

        Raises:
            RequestError: for what this model cannot do.
        """
        for request in requests:
            self._check(request)
        must_check = any(request.max_copy is not None for request in requests)
        index = originality_index.load(originality_index.beside(self.name)) if must_check else None
        for number, request in enumerate(requests):
            for attempt in range(ATTEMPTS):
                score = yield from self._write(request, number, attempt)
                passage = None if index is None else copied(index, request, score)
                if passage is None:
                    break
                check_attempts(request, attempt, passage)
            yield Piece(number, signed(score, request, self.name, self.checksum, attempt), attempt)

    def _check(self, request: Request) -> None:
        """Refuse by name what a model of rolls cannot do."""
        default = SamplingOptions(guidance=request.sampling.guidance)
        for option in fields(default):
            value = getattr(request.sampling, option.name)
            if value != getattr(default, option.name) and (option.name, value) != ("min_p", USUAL_MIN_P):
                raise RequestError(
                    f"{option.name} is for models of tokens, and {self.name} writes piano rolls; leave it out"
                )
        if request.voice_leading == "strict":
            raise RequestError(
                f"voice_leading strict is for models of tokens; {self.name} shuns parallels in chorales and hymns, and "
                "cannot exclude them; leave it out"
            )
        if request.style is not None and request.style not in self.styles:
            raise RequestError(f"{self.name} knows the styles {', '.join(self.styles)}, not {request.style!r}")
        instruments = styled(request, self.card).instruments
        if any(is_drum for _, is_drum in instruments):
            raise RequestError(f"{self.name} writes no drums; use the transformer")
        if len(instruments) > self._network.config.n_parts:
            raise RequestError(f"{self.name} writes at most {self._network.config.n_parts} instruments; ask for fewer")
        if request.meter is not None:
            conditions.beats_a_bar(*request.meter)
        if request.denoising.sampler is not None:
            sampler(request.denoising.sampler)

    def _write(self, request: Request, number: int, attempt: int) -> Generator[Progress, None, Score]:
        """Write a request, telling of each share of its bars that is done; returns the piece."""
        request = styled(request, self.card)
        if request.vary == 0:
            assert request.prompt is not None
            return request.prompt
        if request.prompt is None:
            request = self._framed(request)
        task = self._task(request)
        key = _key_of(task, request)
        canvas = canvas_of(task, request, self._network.config.n_parts, key)
        canvas = _begun(canvas, request)
        recipe = Recipe.of(request.denoising, request.sampling.guidance)
        spare: Score | None = None
        for draft in range(attempt * ATTEMPTS, (attempt + 1) * ATTEMPTS):
            done = 0
            for drawn in draw(self._network, canvas, recipe, self.card.get("rates", ()), seed_of(request.seed, draft)):
                reached = request.new_bars * drawn.done // drawn.steps
                for bar in range(done, reached):
                    yield Progress(number, bar, request.new_bars, draft)
                done = reached
            notes = written_notes(canvas, drawn.states)
            if is_enough(canvas, notes, request):  # the first draft that is, if none of them has all parts heard
                is_full = request.infill is not None or are_all_heard(canvas, notes)  # thinning may well silence one
                if request.polyphony is not None:
                    notes = thinned(notes, canvas, request.polyphony, _given(task, canvas, request), drawn.onsets)
                score = self._finished(task, canvas, notes, request)
                if is_full:
                    return score
                spare = spare or score
        if spare is not None:
            return spare
        raise RequestError(
            f"seed {request.seed}: {ATTEMPTS} drafts had no notes in the first or the last bar, or none at all; take "
            "more steps, or ask for less (range, scale)"
        )

    def _framed(self, request: Request) -> Request:
        """The request of a new piece with its key, metre and tempo: as asked for, or drawn as its style has them."""
        request = framed(request, self.card.get("keys", {}))
        if request.key is None and request.motif is not None:
            request = replace(request, key=keys_of_motif(request.motif))
        if request.key is None and request.scale == "strict":
            request = replace(request, key=parse_key("C"))  # where every clip stands
        frames = self.card.get("frames", {}).get(request.style or "", [])
        metre, tempo = drawn_frame(frames, request.meter, request.seed)
        return replace(request, meter=request.meter or metre, tempo=request.tempo or tempo)

    def _task(self, request: Request) -> Task:
        """What is to be written, as cells of a piece."""
        if request.prompt is None:
            return _opening(request)
        if request.vary is not None:
            task = anew(request, sounding(request.prompt), np.arange(timing.n_bars(request.prompt)))
            return with_harmony(task, request)
        if request.infill is not None or request.harmonize:
            return task_of(request)
        return _continuation(request)

    def _finished(self, task: Task, canvas: Canvas, notes: Array, request: Request) -> Score:
        score = join(task, canvas, notes)
        if request.prompt is None:
            return finish(score, request)
        if request.infill is None and not request.harmonize and request.vary is None:
            return continued(score, task.cells.shape[1] - request.bars, _metres(score, request), request)
        return score


def is_enough(canvas: Canvas, notes: Array, request: Request) -> bool:
    """Whether these notes make the piece: voices to a melody, a last bar, of new pieces a first; infills may rest."""
    if request.infill is not None or not canvas.written.any():
        return True
    if request.harmonize:
        return len(notes) > 0
    n_steps = canvas.states.shape[1]
    last_bar = n_steps - canvas.bars[-1] * roll.STEPS_PER_QUARTER
    first_bar = canvas.bars[0] * roll.STEPS_PER_QUARTER if request.prompt is None else n_steps
    sounding = (canvas.states != roll.OFF).any(axis=(0, 2))  # (T,) of what is given
    begins = bool(sounding[:first_bar].any() or (notes["step"] < first_bar).any())
    return begins and bool(sounding[last_bar:].any() or (notes["step"] + notes["length"] > last_bar).any())


def are_all_heard(canvas: Canvas, notes: Array) -> bool:
    """Whether every part that is to be written has a note, new or given."""
    wanted = canvas.written.any(axis=(1, 2))
    heard = (canvas.states != roll.OFF).any(axis=(1, 2))
    heard[notes["part"]] = True
    return bool(heard[wanted].all())


def _opening(request: Request) -> Task:
    """A new piece, empty but for its motif."""
    assert request.meter is not None
    frame = Score(
        480,
        tuple(Track(program=program) for program, _ in request.instruments),
        tempos=(Tempo(0, round(60e6 / (request.tempo or 120))),),
        time_signatures=(TimeSignature(0, *request.meter),),
        key_signatures=(request.key.signature(),) if request.key else (),
        end=request.bars * conditions.beats_a_bar(*request.meter) * 480,
    )
    cells = np.ones((len(request.instruments), request.bars), np.bool_)
    if request.harmony is not None:
        lines = timing.bar_starts(frame, request.bars)
        rows = request.harmony.over(0, to_grid(frame, request.bars).metres)
        frame = replace(frame, chords=as_chords(rows, lines, 480))
    return Task(frame, cells, chords=frame.chords, style=request.style)


def _continuation(request: Request) -> Task:
    """The piece with new bars behind it, empty as yet."""
    piece, bars = cut_before(request)
    total = bars + request.bars
    lines = timing.bar_starts(piece, total)
    piece = replace(piece, end=int(lines[-1]))
    cells = np.zeros((len(piece.tracks), total), np.bool_)
    cells[sounding(piece), bars:] = True
    chords = piece.chords
    if request.harmony is not None:
        given = request.harmony.over(bars, _metres(piece, request))
        chords = (*chords, *as_chords(given, lines, piece.ticks_per_beat))
    return Task(piece, cells, chords=chords if request.harmony is not None else (), style=request.style)


def _metres(piece: Score, request: Request) -> IntArray:
    """The metre of each new bar, the last ones of a piece, by its number; none where no chords are asked for."""
    if request.harmony is None:
        return np.zeros(0, np.int64)
    n_bars = timing.n_bars(piece.with_tracks(()))
    return to_grid(slice_bars(piece.with_tracks(()), n_bars - request.bars, n_bars), request.bars).metres


def _key_of(task: Task, request: Request) -> Key | None:
    """The key in which the first new bar stands: asked for, or said by the piece.

    Raises:
        RequestError: for a strict scale where no key is known.
    """
    first = int(np.flatnonzero(task.cells.any(axis=0))[0])
    said = timing.key_at(task.piece, int(timing.bar_starts(task.piece, first + 1)[first]))
    key = request.key or (None if said is None else Key.from_signature(said))
    if key is None and request.scale == "strict":
        raise RequestError("the piece says no key, so a strict scale needs one: give it (--key)")
    return key


def _begun(canvas: Canvas, request: Request) -> Canvas:
    """The canvas with its motif given, or with what a variation begins with."""
    n_parts = len(canvas.states)
    if request.motif is not None:
        motif = rescaled(request.motif, 480)
        steps = -(-motif.end * roll.STEPS_PER_QUARTER // 480)
        if steps > canvas.states.shape[1]:
            raise RequestError(f"the motif is longer than {request.bars} bars; ask for more bars")
        line = Score(480, (Track(melody(motif)),), time_signatures=(TimeSignature(0, 1, 4),))
        notes = roll.moved(roll.place(line, n_parts).notes, canvas.semitones)
        states, written = canvas.states.copy(), canvas.written.copy()
        states[0, :steps] = roll.rasterise(notes, 0, steps, n_parts)[0]
        written[0, :steps] = False
        return replace(canvas, states=states, written=written)
    if request.vary is not None:
        assert request.prompt is not None
        placed = roll.place(request.prompt, n_parts, tracks=canvas.slots, n_bars=len(canvas.bars))
        notes = roll.moved(placed.notes, canvas.semitones)
        begin = roll.rasterise(notes, 0, canvas.states.shape[1], n_parts)
        return replace(canvas, begin=begin, strength=request.vary)
    return canvas


def _given(task: Task, canvas: Canvas, request: Request) -> IntArray:
    """(T,) how many notes that stand sound at once in each step."""
    tracks = task.piece.tracks
    if request.motif is not None:
        tracks = (*tracks, Track(melody(rescaled(request.motif, task.piece.ticks_per_beat))))
    return sounding_at_once(tracks, ticks_of(task.piece, canvas))
