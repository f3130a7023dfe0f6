"""A task as a diffusion model sees it: some bars of a piece as one array of cells, part given, part to be written.

A part shows a track. What is given is every note that begins outside of the task's cells, with all that it sounds;
the rest of the shown tracks is to be written. The notes of the piece itself are never rewritten: what the model writes
is added to them.

Letters: P parts, T steps, K pitches, N beats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

import numpy as np
import numpy.typing as npt

from musegen import conditions, roll
from musegen.compose.filling import Task
from musegen.compose.opening import pitches_for
from musegen.compose.passage import with_new
from musegen.compose.request import Request, may_be_parallel
from musegen.errors import RequestError
from musegen.roll import STEPS_PER_QUARTER
from musegen.score import timing
from musegen.score.model import NOTE_DTYPE, Array, Score, Track
from musegen.score.ops import slice_bars
from musegen.score.theory import Key
from musegen.tokens.controls import density_class
from musegen.tokens.harmony import parse_chord

CONTEXT_BARS = 8
"""Bars shown before and behind those that are written, unless one comes that the model cannot write."""

SINGLE_PROGRAMS = frozenset((*range(40, 45), *range(52, 55), *range(56, 80)))
"""Bowed strings, voices, brass, reeds and pipes: they play one pitch at a time unless given notes say otherwise."""
SINGLE_STYLES = ("folk", "chorale", "hymn", "choir")
"""Whose parts do so on any instrument."""
TELLING_NOTES = 8
"""So many given notes of a part tell whether it does."""

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Canvas:
    """Cells and what is told of them.

    Attributes:
        first: the bar of the piece with which the canvas begins; bars: beats of each of its bars.
        slots: the track of the piece that each part shows; n_parts: how many there are.
        states: (P, T, K) the given cells; written: (P, T, K) of bool, which are to be written.
        clip, beats, chords: as in conditions.
        semitones: by how much the canvas lies above the piece.
        allowed: (T, K) of bool, the pitches that may be written.
        voices: (P,) of bool, the parts in which one pitch sounds at a time.
        begin: (P, T, K) what a variation begins with; strength: how far from it, 1 is from noise alone.
        may_be_parallel: whether voices may move in parallel fifths and octaves.
    """

    first: int
    bars: tuple[int, ...]
    slots: tuple[int, ...]
    states: roll.States
    written: Bools
    clip: Array
    beats: Array
    chords: Array
    semitones: int
    allowed: Bools
    begin: roll.States
    voices: Bools
    strength: float = 1.0
    may_be_parallel: bool = True

    @property
    def n_parts(self) -> int:
        """How many parts show a track."""
        return len(self.slots)


def canvas_of(task: Task, request: Request, n_parts: int, key: Key | None) -> Canvas:
    """The bars of a task with some around them; `key` is that of the first new one.

    Raises:
        RequestError: for drums, for more tracks than the model has parts, for voices to a melody that leave no part to
            show it in, for metres that it cannot write.
    """
    todo = np.flatnonzero(task.cells.any(axis=0))
    n_bars = task.cells.shape[1]
    first, last = _shown(task.piece, int(todo[0]), int(todo[-1]) + 1, n_bars)
    part = slice_bars(replace(task.piece, chords=task.chords), first, last)
    slots = _slots(task, part, n_parts)
    if request.harmonize and min(slots) >= len(set(request.harmonize)):  # what is harmonized comes first
        raise RequestError(
            f"the diffusion model writes at most {n_parts - 1} voices to a melody, not {len(slots)}; ask for fewer "
            "instruments, or use the transformer"
        )
    bars = tuple(_beats(task.piece, bar) for bar in range(first, last))
    placed = roll.place(part, n_parts, tracks=slots, n_bars=last - first)
    semitones = conditions.to_c(key)
    written = np.zeros((n_parts, int(placed.starts[-1]), roll.N_PITCHES), np.bool_)
    for i, slot in enumerate(slots):
        written[i] = np.repeat(task.cells[slot, first:last], np.array(bars) * STEPS_PER_QUARTER)[:, None]
    states = roll.rasterise(roll.moved(placed.notes, semitones), 0, written.shape[1], n_parts)
    written &= states == roll.OFF  # a given note sounds on where others are to be written
    stands = np.logical_not(task.cells[:, first:last].any(axis=0))
    density = _density(states, np.array(bars), stands) if request.density is None else request.density
    metre = timing.metre_at(part, int(timing.bar_starts(part, last - first)[int(todo[0]) - first]))
    return Canvas(
        first,
        bars,
        slots,
        states,
        written,
        conditions.clip_values(task.style, key, density, (metre.numerator, metre.denominator)),
        np.concatenate([
            conditions.beat_values(beats, bar, bar + 1, n_bars) for bar, beats in enumerate(bars, first)
        ]),
        _chords(part, placed.starts, semitones),
        semitones,
        _allowed(part, request, key, bars),
        np.zeros_like(states),
        voices_of(task, part, slots, states),
        may_be_parallel=may_be_parallel(request, task.style),
    )  # fmt: skip


def _density(states: roll.States, bars: Ints, stands: Bools) -> int | None:
    """The class of density of the bars that stand as they are, to which the new ones are led; None if no notes do."""
    n_notes = int((states == roll.ONSET)[:, np.repeat(stands, bars * STEPS_PER_QUARTER)].sum())
    return density_class(n_notes, float(bars[stands].sum())) if n_notes else None


def _shown(piece: Score, first: int, last: int, n_bars: int) -> tuple[int, int]:
    """Bars `first` to `last` (excluded) with the ones around them that the model can read as well."""

    def is_readable(bar: int) -> bool:
        try:
            return _beats(piece, bar) > 0
        except RequestError:
            return False

    before = takewhile(is_readable, range(first - 1, max(-1, first - 1 - CONTEXT_BARS), -1))
    behind = takewhile(is_readable, range(last, min(n_bars, last + CONTEXT_BARS)))
    return min((first, *before)), 1 + max((last - 1, *behind))


def _slots(task: Task, part: Score, n_parts: int) -> tuple[int, ...]:
    """The tracks shown: those to write, and of the others the fullest while there is room."""
    asked = [int(k) for k in np.flatnonzero(task.cells.any(axis=1))]
    if any(part.tracks[k].is_drum for k in asked):
        raise RequestError("the diffusion model writes no drums; infill other tracks, or use the transformer")
    if len(asked) > n_parts:
        raise RequestError(
            f"the diffusion model writes at most {n_parts} tracks at once, not {len(asked)}; infill some of them, or "
            "use the transformer"
        )
    others = [k for k, t in enumerate(part.tracks) if len(t.notes) and not t.is_drum and k not in asked]
    others.sort(key=lambda k: -len(part.tracks[k].notes))
    return tuple(sorted([*asked, *others[: n_parts - len(asked)]]))


def voices_of(task: Task, part: Score, slots: tuple[int, ...], states: roll.States) -> Bools:
    """(P,) the parts in which one pitch sounds at a time: as given notes do, or as such instruments and styles do."""
    voices = np.zeros(len(states), np.bool_)
    for i, slot in enumerate(slots):
        track = part.tracks[slot]
        program = task.programs.get(slot, track.program)
        voices[i] = program in SINGLE_PROGRAMS or task.style in SINGLE_STYLES
        if len(track.notes) >= TELLING_NOTES or (states[i] != roll.OFF).sum(axis=1).max() > 1:
            voices[i] = (states[i] != roll.OFF).sum(axis=1).max() <= 1
    return voices


def _beats(piece: Score, bar: int) -> int:
    """Quarters of a bar of the piece.

    Raises:
        RequestError: for a metre that the model does not write, or a bar that is cut short.
    """
    first, last = (int(tick) for tick in timing.bar_starts(piece, bar + 1)[-2:])
    metre = timing.metre_at(piece, first)
    beats = conditions.beats_a_bar(metre.numerator, metre.denominator)
    if last - first != beats * piece.ticks_per_beat:
        raise RequestError("a change of metre cuts a bar short there, which the diffusion model cannot write")
    return beats


def _allowed(part: Score, request: Request, key: Key | None, bars: tuple[int, ...]) -> Bools:
    """(T, K) the pitches that the request allows, bar by bar, for a strict scale keeps to the key of each.

    Raises:
        RequestError: if the model knows none of them.
    """
    rows = []
    for beats, tick in zip(bars, timing.bar_starts(part, len(bars)).tolist(), strict=False):
        said = None if request.key is not None else timing.key_at(part, tick)
        row = pitches_for(request, key if said is None else Key.from_signature(said))
        moved = np.roll(np.ones(128, np.bool_) if row is None else row, conditions.to_c(key))
        rows += [moved[roll.LOWEST : roll.HIGHEST + 1]] * (beats * STEPS_PER_QUARTER)
    if not np.any(rows):
        raise RequestError(
            f"the diffusion model writes pitches from {roll.LOWEST} to {roll.HIGHEST}, and none of them may be "
            "written; widen the range"
        )
    return np.array(rows)


def _chords(part: Score, starts: Array, semitones: int) -> Array:
    """(N, 25) what is told of the chords."""
    rows = []
    for chord in part.chords:
        word = parse_chord(chord.symbol)
        if word is not None:
            rows.append((round(chord.time * STEPS_PER_QUARTER / part.ticks_per_beat), *word))
    table = np.array(rows, np.int64).reshape(-1, 3)
    return conditions.chord_values(table, int(starts[-1]) // STEPS_PER_QUARTER, semitones)


def written_notes(canvas: Canvas, states: roll.States) -> Array:
    """The notes, at the pitch of the piece, that these cells have where the canvas was to be written (ROLL_NOTE)."""
    cells = roll.mended(np.where(canvas.written, states, roll.OFF))
    notes = roll.notes_of(cells)
    notes["pitch"] -= canvas.semitones
    return notes[(notes["pitch"] >= 0) & (notes["pitch"] <= 127)]


def join(task: Task, canvas: Canvas, notes: Array) -> Score:
    """The task's piece with new notes."""
    piece = task.piece
    ticks = ticks_of(piece, canvas)
    begins, ends = ticks[notes["step"]], ticks[notes["step"] + notes["length"]]
    fresh = {}
    for i, slot in enumerate(canvas.slots):
        own = (notes["part"] == i) & (begins < ends)  # a piece of few ticks may lack one for a sixteenth
        fresh[slot] = roll.as_notes(notes[own], begins[own], ends[own] - begins[own]).copy()
    return with_new(piece, fresh, int(ticks[0]))


def ticks_of(piece: Score, canvas: Canvas) -> Ints:
    """(T + 1,) the tick of the piece at which each step begins, counted from its own bar line."""
    lines = timing.bar_starts(piece, canvas.first + len(canvas.bars))[canvas.first : -1]
    steps = np.array(canvas.bars) * STEPS_PER_QUARTER
    offsets = np.arange(1 + steps.sum())
    offsets[:-1] -= np.repeat(np.cumsum(steps) - steps, steps)
    offsets[-1] = steps[-1]
    ticks = np.rint(offsets * piece.ticks_per_beat / STEPS_PER_QUARTER).astype(np.int64)
    ticks[:-1] += np.repeat(lines, steps)
    ticks[-1] += lines[-1]
    return ticks


def thinned(notes: Array, canvas: Canvas, polyphony: int, given: Ints, onsets: npt.NDArray[np.float32]) -> Array:
    """The new notes of which, with those `given` (T,), at most `polyphony` sound at once; the surest stay.

    `onsets` (P, T, K) says how sure each onset is.
    """
    sounding = given.copy()
    sure = onsets[notes["part"], notes["step"], notes["pitch"] + canvas.semitones - roll.LOWEST]
    keep = np.zeros(len(notes), np.bool_)
    for i in np.lexsort((-sure, notes["step"])):
        span = slice(int(notes["step"][i]), int(notes["step"][i] + notes["length"][i]))
        if (sounding[span] < polyphony).all():
            sounding[span] += 1
            keep[i] = True
    return notes[keep]


def sounding_at_once(tracks: Sequence[Track], ticks: Ints) -> Ints:
    """(T,) the most pitched notes that sound together somewhere between each two of these T + 1 ticks."""
    notes = np.concatenate([np.zeros(0, NOTE_DTYPE), *(track.notes for track in tracks if not track.is_drum)])
    times, where = np.unique(np.concatenate((notes["start"], notes["start"] + notes["duration"])), return_inverse=True)
    changes = np.zeros(len(times) + 1, np.int64)
    np.add.at(changes, where.ravel() + 1, np.repeat((1, -1), len(notes)))
    levels = np.cumsum(changes)  # levels[k]: from times[k - 1] on
    most = levels[np.searchsorted(times, ticks[:-1], side="right")]
    inside = np.flatnonzero((times >= ticks[0]) & (times < ticks[-1]))
    np.maximum.at(most, np.searchsorted(ticks, times[inside], side="right") - 1, levels[inside + 1])
    return most
