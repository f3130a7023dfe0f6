"""The families of contexts that predict the notes of a chorale, and their predictions.

Each function takes a View and gives a Family, from the most general context to the most particular. Every context
holds `frame` (voice, sixteenth of the quarter, whether it is the first step) and `moved` (which of the voices told
already move at this step), which decide between holding and moving.

Letters: N steps of all chorales, T of one, E predictions (families by their levels), C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

from musegen.evaluate.chorale_contexts import CLASSES, ORDER, OTHER, Steps, View, class_table, degree
from musegen.evaluate.chorales import Grid
from musegen.evaluate.contexts import Family, hashed, predict

Array = npt.NDArray[Any]
Columns = list[Any]


def _growing(start: Columns, *parts: Columns) -> list[Array]:
    """Hashes of `start`, then of all that is there with each part in turn."""
    return [hashed(k, *columns) for k, columns in enumerate(accumulate(parts, lambda a, b: a + b, initial=start))]


def melody(v: View) -> Family:
    """The last moves of the voice itself."""
    general = [*v.frame, *v.moved]
    particular = [hashed(*general, v.own_age, *v.moves(v.voice, n)) for n in (1, 2, 3, 4, 6, 8)]
    return Family("melody", [hashed(*v.frame), hashed(*general, v.short_age), *particular])


def tonal_melody(v: View) -> Family:
    """The same as degrees of the key, with the voices told."""
    last, told, _ = v.degrees(v.steps.quick_key)
    start = [*v.frame, *v.moved, v.steps.quick_key // 12, last]
    orders = [hashed(*start, v.short_age), hashed(*start, v.short_age, *told)]
    counts = (1, 2, 3, 4, 6)
    orders += [hashed(*start, v.own_age, *(told if n < 4 else told[:1]), *v.moves(v.voice, n)) for n in counts]
    return Family("tonal melody", orders)


def metric_melody(v: View) -> Family:
    """The last moves at each place of the bar."""
    last, told, _ = v.degrees(v.steps.slow_key)
    start = [v.voice, v.steps.step % 16, v.steps.step == 0, *v.moved]
    orders = [hashed(*start, v.short_age)]
    orders += [hashed(*start, v.own_age, last, *told[:1], *v.moves(v.voice, n)) for n in (1, 2, 3, 4)]
    return Family("metric melody", orders)


def vertical(v: View) -> Family:
    """The intervals to the other voices, and for how long they have stood."""
    start = [*v.frame, *v.moved, v.short_age]
    last_move = v.moves(v.voice, 1)[0]
    ages = list(v.steps.age.T)
    return Family("vertical", [
        hashed(*start), hashed(*start, *v.now[:1], 1), hashed(*start, *v.now, 2),
        hashed(*v.frame, *v.moved, *v.now, *v.others, 3), hashed(*start, *v.now, *v.others, last_move, 4),
        hashed(*v.frame, *v.now, *v.others, *ages, 5),
    ])  # fmt: skip


def tonal(v: View) -> Family:
    """The voices told and the chord before, as degrees of the key of the last bars."""
    key, step = v.steps.quick_key, v.steps.step
    last, told, before = v.degrees(key)
    earlier = [degree(v.steps.before[4][:, u], key) for u in range(4)]
    start = [*v.frame, key // 12, last, *v.moved]
    narrow = [*start, v.last, *told, *before]
    return Family("tonal", [
        hashed(*start), hashed(*start, *told, v.short_age), hashed(*start, *told, *before, 1),
        hashed(*narrow, v.moves(v.voice, 1)[0], step % 8, 2), hashed(*narrow, *earlier, step % 16, 3),
    ])  # fmt: skip


def slow_tonal(v: View) -> Family:
    """The same with the key of a longer past, and for how long each voice has stood."""
    key = v.steps.slow_key
    last, told, before = v.degrees(key)
    start = [*v.frame, key // 12, *v.moved]
    ages = list(v.steps.age.T)
    sizes = v.steps.last_moves[0]
    moves = [sizes[:, u, 0] for u in (v.voice, 0, 3)]
    return Family("slow tonal", [
        hashed(*start, last, v.short_age), hashed(*start, last, *told, v.short_age),
        hashed(*start, *before, *told, v.short_age, 1), hashed(*start, *before, *told, *ages, 2),
        hashed(*start, *before, *told, *ages, *moves, 3),
    ])  # fmt: skip


def chords(v: View) -> Family:
    """Bass and soprano of the last four beats, then the inner voices of two, as degrees."""
    key, step = v.steps.quick_key, v.steps.step
    last, told, _ = v.degrees(key)
    rows = []
    for beat in range(4):
        back = (step - 1) % 4 + 1 + 4 * beat
        there = np.where(step >= back, np.arange(len(step)) - back, 0)
        row = np.where((step >= back)[:, None], v.steps.ids[there], -1)
        rows.append([degree(row[:, u], key) for u in range(4)])
    outer = [[row[3], row[0]] for row in rows]
    start = [*v.frame, *v.moved, key // 12, last, *told]
    orders = _growing(start, *outer, [rows[0][1], rows[0][2], rows[1][1], rows[1][2]])
    return Family("chords", [hashed(*start, v.short_age, -1), *orders[1:]])


def texture(v: View, *, within: bool = False) -> Family:
    """All voices of the last steps; `within` the piece at their own pitch, so that a repeat is known again."""
    if within:
        rows = [list(v.steps.before[lag].T) for lag in (1, 2, 4, 8, 12)]
        start = [v.voice, v.steps.step % 4, *(v.steps.ids[:, u] for u in v.told)]
        return Family("texture again", [hashed(*v.frame, *v.moved), *_growing(start, *rows)[1:]], within=True)
    rows = [v.row(lag) for lag in (2, 4, 8, 12, 16)]
    start = [*v.frame, *v.now, *v.others]
    return Family("texture", [hashed(*v.frame, *v.moved), *_growing(start, *rows)])


def tune(v: View) -> Family:
    """The soprano of the last two bars: the same tune in another chorale."""
    start = [*v.frame, *v.soprano, *v.now]
    lines = [[v.line(0, lag)] for lag in (1, 2, 4, 8, 12, 16, 24, 32)]
    orders = _growing(start, *lines)
    second = hashed(*v.frame, *v.moved, *v.soprano, v.line(0, 1), v.line(0, 4))
    return Family("tune", [hashed(*v.frame, *v.moved), second, *orders[3:]])


def bass_line(v: View) -> Family:
    """The bass of the last bar."""
    start = [*v.frame, *v.bass, *v.now]
    orders = _growing(start, *[[v.line(3, lag)] for lag in (1, 2, 4, 6, 8, 12, 16)])
    second = hashed(*v.frame, *v.moved, *v.bass, *v.soprano, v.line(3, 1))
    return Family("bass line", [hashed(*v.frame, *v.moved), second, *orders[1:]])


def pair(v: View, rank: int) -> Family:
    """The last moves of this voice and of one other; rank 0 is an outer voice, 1 and 2 the rest."""
    first = 3 if v.voice == 0 else 0
    other = [first, *(u for u in ORDER if u not in (v.voice, first))][rank]
    start = [*v.frame, *v.moved, v.short_age]
    near = [*start, *v.now, v.line(other, 1), v.steps.age[:, other]]
    counts = (1, 2, 3, 4) if rank == 0 else (1, 2, 3)
    orders = [hashed(*near, *v.moves(v.voice, n), *v.moves(other, n)) for n in counts]
    return Family(f"pair {rank}", [hashed(*start), hashed(*start, *v.now), *orders])


def register(v: View) -> Family:
    """Pitches as they are, in no key."""
    told = [v.steps.ids[:, u] for u in v.told]
    start = [*v.frame, v.last, v.short_age, *v.moved]
    return Family("register", _growing(start, told, list(v.steps.before[1].T), list(v.steps.before[4].T)))


def cadence(v: View) -> Family:
    """How far the phrase is, and the outer voices as degrees."""
    key, age = v.steps.slow_key, v.steps.age
    last, told, before = v.degrees(key)
    mode = key // 12
    outer = [v.steps.phrase, before[0], before[3]]
    above = v.last - v.steps.before[1][:, 3]
    return Family("cadence", [
        hashed(*v.frame, v.short_age, *v.moved, mode, last),
        hashed(*v.frame, *v.moved, mode, *outer, age[:, 0], age[:, 3], above),
        hashed(*v.frame, *v.moved, *told, mode, *outer, *age.T, above, 1),
    ])  # fmt: skip


def contour(v: View) -> Family:
    """Where this voice and an outer one were in the last two beats."""
    other = 0 if v.voice == 3 else 3
    start = [*v.frame, *v.moved, *v.now]
    orders = _growing(start, *[[v.line(v.voice, lag), v.line(other, lag)] for lag in (1, 2, 4, 6, 8)])
    return Family("contour", [hashed(*v.frame, *v.moved, v.short_age), *orders[1:]])


def rhythm_again(v: View) -> Family:
    """Which voices moved when in the last bar of this piece."""
    moved = [[v.steps.lag(v.steps.changed, lag, 7)[:, u] for u in range(4)] for lag in (1, 2, 3, 4, 6, 8, 12, 16)]
    orders = _growing([*v.frame, v.short_age, *v.moved], *moved)
    return Family("rhythm again", [orders[0], orders[1], orders[4], orders[6], orders[8]], within=True)


def melody_again(v: View) -> Family:
    """The last moves of this voice at their own pitch in this piece."""
    general = [*v.frame, *v.moved]
    start = [*general, v.own_age, v.last]
    first = hashed(*general, v.short_age, v.last, v.moves(v.voice, 1)[0])
    orders = [hashed(*start, *v.moves(v.voice, n)) for n in (1, 2, 3, 5)]
    return Family("melody again", [hashed(*general), first, *orders], within=True)


FAMILIES: tuple[Callable[[View], Family], ...] = (
    melody, vertical, texture, tonal, tune, chords, bass_line,
    lambda v: pair(v, 0), lambda v: pair(v, 1), lambda v: pair(v, 2),
    tonal_melody, slow_tonal, metric_melody, register, cadence, contour,
    rhythm_again, lambda v: texture(v, within=True), melody_again,
)  # fmt: skip


def predictions(grids: Sequence[Grid], n_counted: int) -> list[npt.NDArray[np.float16]]:
    """What the families say of each chorale: (T, 4, E, C) log-probabilities, voices in ORDER, families by levels.

    Only the first `n_counted` grids are counted for others, and never for themselves.
    """
    steps = Steps.of(grids)
    counted = steps.piece < n_counted
    table = class_table()
    voices = []
    for place, voice in enumerate(ORDER):
        view = View(steps, place)
        classes = np.where(steps.step == 0, OTHER, table[np.maximum(view.last, 0), steps.ids[:, voice]])
        told = [predict(family(view), classes, CLASSES, steps.piece, counted) for family in FAMILIES]
        voices.append(np.log(np.concatenate(told, axis=1)).astype(np.float16))  # (N, E, C)
    return np.split(np.stack(voices, axis=1), np.flatnonzero(np.diff(steps.piece)) + 1)
