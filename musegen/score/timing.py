"""Tempo and metre maps: the bar table, what is in force at a tick, and ticks to seconds.

Before the first metre the piece is in 4/4, before the first tempo at 120 quarters a minute. A change of metre
begins a bar, even where the bar before it is not full. Of two changes at one tick the last one counts.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from musegen.score.model import Array, KeySignature, Score, Tempo, TimeSignature

DEFAULT_TEMPO = Tempo(0, 500_000)
DEFAULT_METRE = TimeSignature(0, 4, 4)
BAR_TOLERANCE = 32
"""A note that ends at most ticks_per_beat / 32 past a bar line does not open a bar."""


class Timed(Protocol):
    """Anything that takes effect at a tick."""

    @property
    def time(self) -> int:
        """Tick."""


T = TypeVar("T", bound=Timed)


def in_force(events: Sequence[T], tick: int) -> T | None:
    """The last of `events` (sorted by time) at or before `tick`."""
    index = bisect_right([event.time for event in events], tick)
    return events[index - 1] if index else None


def metre_at(score: Score, tick: int) -> TimeSignature:
    """The metre in force at `tick`."""
    return in_force(score.time_signatures, tick) or DEFAULT_METRE


def tempo_at(score: Score, tick: int) -> Tempo:
    """The tempo in force at `tick`."""
    return in_force(score.tempos, tick) or DEFAULT_TEMPO


def key_at(score: Score, tick: int) -> KeySignature | None:
    """The key in force at `tick`, if the piece has said one by then."""
    return in_force(score.key_signatures, tick)


def _metre_map(score: Score) -> tuple[Array, Array]:
    """Start ticks of the stretches of one metre (strictly rising, the first 0) and the bar length in each."""
    lengths = {0: DEFAULT_METRE.ticks_per_bar(score.ticks_per_beat)}
    for metre in score.time_signatures:
        lengths[metre.time] = metre.ticks_per_bar(score.ticks_per_beat)
    return np.array(list(lengths), np.int64), np.array(list(lengths.values()), np.int64)


def _bars_of_stretches(starts: Array, lengths: Array) -> Array:
    """How many bars begin in each stretch but the last, which has no end."""
    return -(-np.diff(starts) // lengths[:-1])


def bar_starts(score: Score, n_bars: int | None = None) -> npt.NDArray[np.int64]:
    """The ticks of the first `n_bars` bar lines (all bars of the piece if None) and of the closing one.

    Past the last metre change the last metre goes on without end. Shape (n_bars + 1,), rising from 0.
    """
    wanted = _n_bars(score) if n_bars is None else n_bars
    starts, lengths = _metre_map(score)
    counts = _bars_of_stretches(starts, lengths)
    counts = np.append(counts, max(0, wanted + 1 - int(counts.sum())))
    first = np.cumsum(counts) - counts  # the number of the first bar of each stretch
    # Trimmed before it is laid out: a metre change at tick 2**31 must not cost gigabytes.
    counts = np.clip(np.minimum(counts, wanted + 1 - first), 0, None)
    within = np.arange(counts.sum(), dtype=np.int64) - np.repeat(first, counts)
    return np.asarray(np.repeat(starts, counts) + within * np.repeat(lengths, counts), dtype=np.int64)


def bar_of(score: Score, tick: int) -> int:
    """The number, from 0, of the bar in which `tick` lies."""
    starts, lengths = _metre_map(score)
    stretch = int(np.searchsorted(starts, tick, side="right")) - 1
    before = int(_bars_of_stretches(starts, lengths)[:stretch].sum())
    return before + (tick - int(starts[stretch])) // int(lengths[stretch])


def n_bars(score: Score) -> int:
    """How many bars hold every note, or reach `score.end` if there are no notes.

    A note that ends within ticks_per_beat / 32 past a bar line opens no bar, unless it begins there.
    """
    return _n_bars(score)


def _n_bars(score: Score) -> int:
    tolerance = score.ticks_per_beat // BAR_TOLERANCE
    last = -1 if score.n_notes else score.end - 1  # the last tick that a bar has to hold
    for notes in (track.notes for track in score.tracks if len(track.notes)):
        ends = notes["start"] + notes["duration"] - tolerance - 1
        last = max(last, int(ends.max()), int(notes["start"].max()))
    return bar_of(score, last) + 1 if last >= 0 else 0


def tick_to_second(score: Score, ticks: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Seconds from the beginning for each of `ticks`, by the tempo map; same shape as `ticks`."""
    tempos = {0: DEFAULT_TEMPO.microseconds_per_quarter}
    tempos.update((tempo.time, tempo.microseconds_per_quarter) for tempo in score.tempos)
    starts = np.array(list(tempos), np.int64)
    seconds_per_tick = np.array(list(tempos.values())) / 1e6 / score.ticks_per_beat
    start_seconds = np.concatenate(([0.0], np.cumsum(np.diff(starts) * seconds_per_tick[:-1])))
    wanted = np.asarray(ticks)
    stretch = np.maximum(np.searchsorted(starts, wanted, side="right") - 1, 0)
    since = (wanted - starts[stretch]) * seconds_per_tick[stretch]
    return np.asarray(start_seconds[stretch] + since, np.float64)


def seconds(score: Score) -> float:
    """The length of the piece in seconds, rests at the end included."""
    return float(tick_to_second(score, score.end))
