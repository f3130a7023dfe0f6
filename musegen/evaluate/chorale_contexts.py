"""What is known before each note of a chorale, as families of counted contexts.

A note is predicted relative to its voice: its class says how far it lies from the last pitch of the voice (CLASSES),
so that what is counted in one key holds in all. Voices are told in ORDER, and a voice knows those told before it.

Letters: N steps of all chorales, E families, C classes, P ids of pitches.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from musegen.errors import RequestError
from musegen.evaluate.chorales import REST, Grid

Array = npt.NDArray[Any]

ORDER = (0, 3, 1, 2)
"""Soprano, bass, alto, tenor."""
LOWEST, N_IDS = 30, 59
"""Ids: 0 is a rest, 1 the MIDI pitch 30, 58 the pitch 87."""
MOST_STEPS = 14
"""Semitones up or down that a class tells apart."""
OTHER = 2 * MOST_STEPS + 1
CLASSES = 2 * MOST_STEPS + 2
"""-14 to 14 semitones (14 is no move, also from rest to rest), and OTHER: farther, and to or from a rest."""
MOVES = 8
"""Last moves of a voice that contexts know."""
LONGEST_AGE = 16
LAGS = (1, 2, 4, 6, 8, 10, 12, 16, 20, 24, 28, 32)
_UNKNOWN = 99


def ids_of(grid: Grid) -> npt.NDArray[np.int64]:
    """(T, 4) ids of the pitches; RequestError for a pitch out of range."""
    ids = grid.astype(np.int64) - LOWEST + 1
    sounding = grid != REST
    if (ids[sounding] < 1).any() or (ids[sounding] >= N_IDS).any():
        raise RequestError(f"pitches of a chorale lie between {LOWEST} and {LOWEST + N_IDS - 2}")
    return np.where(sounding, ids, 0)


def class_table() -> npt.NDArray[np.int64]:
    """(P, P): the class of each id after each id."""
    ids = np.arange(N_IDS)
    steps = ids[None] - ids[:, None]
    table = np.where(np.abs(steps) > MOST_STEPS, OTHER, steps + MOST_STEPS)
    table[0] = table[:, 0] = OTHER
    table[0, 0] = MOST_STEPS
    return table


def ages(ids: Array) -> npt.NDArray[np.int64]:
    """(T, 4) for how many steps each voice has stood, 0 where it moves."""
    moves = np.ones(ids.shape, np.bool_)
    moves[1:] = ids[1:] != ids[:-1]
    steps = np.arange(len(ids))[:, None]
    return np.asarray(steps - np.maximum.accumulate(np.where(moves, steps, 0), axis=0))


@dataclass(frozen=True, eq=False)
class Steps:
    """All steps of all chorales, one after the other: ids (N, 4), piece (N,), and step (N,) within the piece."""

    ids: Array
    piece: Array
    step: Array

    @classmethod
    def of(cls, grids: Sequence[Grid]) -> Steps:
        """The steps of these chorales."""
        return cls(
            np.concatenate([ids_of(grid) for grid in grids]),
            np.repeat(np.arange(len(grids)), [len(grid) for grid in grids]),
            np.concatenate([np.arange(len(grid)) for grid in grids]),
        )

    def lag(self, values: Array, steps: int, missing: int) -> Array:
        """The values (N, ...) of so many steps before; `missing` before the piece began."""
        earlier: Array = np.full_like(values, missing)
        earlier[steps:] = values[:-steps]
        earlier[self.step < steps] = missing
        return earlier

    @cached_property
    def before(self) -> Mapping[int, Array]:
        """Lag -> the ids (N, 4) so many steps before, -1 before the piece."""
        return {steps: self.lag(self.ids, steps, -1) for steps in LAGS}

    @cached_property
    def age(self) -> Array:
        """(N, 4) for how long each voice has stood before this step, at most LONGEST_AGE."""
        own = np.concatenate([ages(self.ids[self.piece == p]) for p in range(int(self.piece[-1]) + 1)])
        return np.minimum(self.lag(own, 1, 2 * LONGEST_AGE), LONGEST_AGE)

    @cached_property
    def changed(self) -> Array:
        """(N, 4) 1 where a voice moves at this step, 0 where not."""
        return np.asarray(self.ids != self.before[1]).astype(np.int64)

    @cached_property
    def last_moves(self) -> tuple[Array, Array]:
        """(N, 4, MOVES) the last moves of each voice before this step, in semitones, and the steps before each."""
        sizes = np.full((len(self.ids), 4, MOVES), _UNKNOWN)
        lengths = np.full((len(self.ids), 4, MOVES), _UNKNOWN)
        for p in range(int(self.piece[-1]) + 1):
            rows = np.flatnonzero(self.piece == p)
            for voice in range(4):
                ids = self.ids[rows, voice]
                at = np.flatnonzero(np.diff(ids)) + 1
                size = np.where((ids[at] > 0) & (ids[at - 1] > 0), ids[at] - ids[at - 1], 77)
                length = np.diff(at, prepend=0)
                done = np.searchsorted(at, np.arange(len(rows)), side="left")  # moves before each step
                for back in range(MOVES):
                    known = done > back
                    which = done[known] - 1 - back
                    sizes[rows[known], voice, back] = size[which]
                    lengths[rows[known], voice, back] = length[which]
        return sizes, lengths

    def key(self, decay: float) -> Array:
        """(N,) the likeliest key before each step, 0 to 11 major, 12 to 23 minor by tonic, 24 before any note.

        Pitch classes weighted by `decay` a step into the past, correlated with the profiles of Krumhansl and
        Kessler (1982).
        """
        major = np.array([6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88])
        minor = np.array([6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17])
        profiles = np.stack([np.roll((m - m.mean()) / m.std(), k) for m in (major, minor) for k in range(12)])
        weights = np.zeros((len(self.ids), 12))
        now = np.zeros((len(self.ids), 12))
        for voice in range(4):
            sounding = np.flatnonzero(self.ids[:, voice])
            now[sounding, (self.ids[sounding, voice] - 1) % 12] += 1
        running = np.zeros(12)
        for row, step in enumerate(self.step.tolist()):
            if step == 0:
                running = np.zeros(12)
            weights[row] = running
            running = (running + now[row]) * decay
        return np.where(weights.any(axis=1), (weights @ profiles.T).argmax(axis=1), 24)

    @cached_property
    def quick_key(self) -> Array:
        """The key of about the last four bars."""
        return self.key(0.985)

    @cached_property
    def slow_key(self) -> Array:
        """The key of about the last twenty bars."""
        return self.key(0.997)

    @cached_property
    def phrase(self) -> Array:
        """(N,) beats, at most 16, since something moved after two beats of stillness, or since the beginning."""
        result = np.zeros(len(self.ids), np.int64)
        since = still = 0
        moved: list[bool] = np.any(self.changed, axis=1).tolist()
        for row, step in enumerate(self.step.tolist()):
            if step == 0:
                since = still = 0
            result[row] = min(since // 4, 16)
            if step > 0 and moved[row]:
                since = 0 if still >= 7 else since
                still = 0
            else:
                still += 1
            since += 1
        return result


def degree(ids: Array, key: Array) -> Array:
    """Semitones (0..11) above the key's tonic; 12 for a rest and what is not there."""
    tonic = np.where(key < 24, key % 12, 0)
    return np.where(ids > 0, (ids - 1 - tonic) % 12, 12)


class View:
    """What one voice knows at each step, as columns (N,): the words that `families` is written in."""

    def __init__(self, steps: Steps, place: int) -> None:
        self.steps, self.voice, self.told = steps, ORDER[place], ORDER[:place]
        self.last = steps.before[1][:, self.voice]
        self.frame: list[Array | int] = [self.voice, steps.step % 4, steps.step == 0]
        self.moved: list[Array] = [steps.changed[:, u] for u in self.told]
        self.now = [self.relative(steps.ids[:, u]) for u in self.told]
        self.others = [self.relative(steps.before[1][:, u]) for u in range(4) if u != self.voice]
        self.own_age = steps.age[:, self.voice]
        self.short_age = np.minimum(self.own_age, 8)
        self.soprano = self.now[:1]  # empty for the soprano itself
        self.bass = self.now[1:2]

    def relative(self, ids: Array) -> Array:
        """Semitones from this voice's last pitch; other numbers where there is none."""
        both = (ids > 0) & (self.last > 0)
        return np.where(both, ids - self.last, np.where(ids == 0, 60, np.where(ids < 0, 61, 62)))

    def row(self, lag: int) -> list[Array]:
        """All voices so many steps before."""
        return [self.relative(self.steps.before[lag][:, u]) for u in range(4)]

    def line(self, voice: int, lag: int) -> Array:
        """One voice so many steps before."""
        return self.relative(self.steps.before[lag][:, voice])

    def moves(self, voice: int, count: int) -> list[Array]:
        """The last `count` moves of a voice, with the steps before each."""
        sizes, lengths = self.steps.last_moves
        return [table[:, voice, back] for back in range(count) for table in (sizes, lengths)]

    def degrees(self, key: Array) -> tuple[Array, list[Array], list[Array]]:
        """As degrees of the key: this voice's last pitch, the voices told, and all voices before."""
        told = [degree(self.steps.ids[:, u], key) for u in self.told]
        return degree(self.last, key), told, [degree(self.steps.before[1][:, u], key) for u in range(4)]
