"""Ticks -> units of notation: the bars of a piece, and its notes in them.

A unit is a fraction of a quarter so small that all times of a piece are whole numbers of it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from musegen.errors import FileFormatError
from musegen.score import timing
from musegen.score.model import Score, TimeSignature
from musegen.score.notation.metre import metre
from musegen.score.notation.places import (
    BINARY_UNITS,
    FINE_STEPS,
    Frame,
    Ints,
    Places,
    places_of,
    spellable,
    units_of,
)

MAX_BARS = 20_000


@dataclass(frozen=True)
class Bar:
    """One bar.

    Attributes:
        number: as printed; a pickup has 0, a later part of a split bar that of its first part.
        first_tick: where it begins in the Score.
        last_tick: where it ends there.
        start: where it begins, in units from the beginning of the piece.
        length: in units.
        signature: the metre as printed, that of the bar after a pickup.
        offset: its place in the full bar of that metre, in units.
        shows_signature: whether the metre is printed here.
        counted: False for a pickup and for later parts of a split bar.
    """

    number: int
    first_tick: int
    last_tick: int
    start: int
    length: int
    signature: TimeSignature
    offset: int
    shows_signature: bool
    counted: bool

    @property
    def stop(self) -> int:
        """Where it ends, in units."""
        return self.start + self.length


@dataclass(frozen=True)
class Timeline:
    """The bars of a piece, the units a quarter, and the notes of every track in units.

    Attributes:
        quarter: units a quarter.
        bars: in order, one at least.
        starts: where the notes of each track begin, in units; one array a track, in the order of its notes.
        stops: where they end.
        rounded: how many notes were moved.
        rounded_bars: how many bars are not as long as the Score says.
    """

    quarter: int
    bars: tuple[Bar, ...]
    starts: tuple[Ints, ...]
    stops: tuple[Ints, ...]
    rounded: int
    rounded_bars: int

    def place(self, score: Score, tick: int) -> tuple[int, int]:
        """(index of the bar, units from its beginning) of a tick; at most the end of the last bar."""
        firsts = [bar.first_tick for bar in self.bars]
        index = int(np.searchsorted(firsts, tick, side="right")) - 1
        bar = self.bars[index]
        offset = (tick - bar.first_tick) * self.quarter
        exact, rest = divmod(offset, score.ticks_per_beat)
        if rest:
            step = self.quarter // FINE_STEPS
            exact = (2 * offset + step * score.ticks_per_beat) // (2 * step * score.ticks_per_beat) * step
        return index, min(exact, bar.length)


def timeline(score: Score, coarse: Collection[tuple[int, int]] = ()) -> Timeline:
    """The bars of `score` and its notes at places that can be written.

    `coarse` are the (track, bar) in which all times are rounded.

    Raises:
        FileFormatError: if there are too many bars.
    """
    wanted = timing.bar_of(score, max(score.end - 1, 0)) + 1
    if wanted > MAX_BARS:
        raise FileFormatError(f"{wanted} bars are too many for sheet music (at most {MAX_BARS}); cut the piece first")
    ticks = timing.bar_starts(score, wanted)
    signatures = [timing.metre_at(score, tick) for tick in ticks[:-1].tolist()]
    atoms = np.array([metre(s.numerator, s.denominator, BINARY_UNITS).atom for s in signatures], np.int64)
    frame = Frame(score.ticks_per_beat, ticks, atoms)
    places = [
        places_of(track, frame, [bar for i, bar in coarse if i == number]) for number, track in enumerate(score.tracks)
    ]
    sizes = [*np.diff(ticks).tolist(), score.end - int(ticks[-2])]
    quarter = BINARY_UNITS * math.lcm(*(p.odd for p in places), *(_odd(size, score.ticks_per_beat) for size in sizes))
    lengths, rounded_bars = _bar_lengths(score, sizes[:-1], signatures, quarter)
    lines = np.concatenate(([0], np.cumsum(lengths)))
    notes = [_notes(where, lines, quarter) for where in places]
    used = max((int(stops.max(initial=0)) for _, stops, _ in notes), default=0) - int(lines[-2])
    if spellable(sizes[-1], score.ticks_per_beat) and sizes[-1] > 0:  # else there are rests to the bar line
        lengths[-1] = min(lengths[-1], max(sizes[-1] * quarter // score.ticks_per_beat, used))
    return Timeline(
        quarter,
        _bars(score, ticks.tolist(), lengths, signatures, quarter),
        tuple(starts for starts, _, _ in notes),
        tuple(stops for _, stops, _ in notes),
        sum(moved for _, _, moved in notes),
        rounded_bars,
    )


def _odd(ticks: int, ticks_per_beat: int) -> int:
    """What a quarter must be divisible by, powers of two aside, to hold a length; 1 where it is to be rounded."""
    if not spellable(ticks, ticks_per_beat):
        return 1
    denominator = ticks_per_beat // math.gcd(ticks, ticks_per_beat)
    return denominator // (denominator & -denominator)


def _bar_lengths(
    score: Score, sizes: Sequence[int], signatures: Sequence[TimeSignature], quarter: int
) -> tuple[list[int], int]:
    """The length of each bar in units, and how many had to be rounded to 32nds."""
    lengths, rounded = [], 0
    for size, signature in zip(sizes, signatures, strict=True):
        if size == signature.ticks_per_bar(score.ticks_per_beat):
            lengths.append(signature.numerator * 4 * quarter // signature.denominator)
        elif spellable(size, score.ticks_per_beat):
            lengths.append(size * quarter // score.ticks_per_beat)
        else:
            lengths.append(max(1, round(size * FINE_STEPS / score.ticks_per_beat)) * (quarter // FINE_STEPS))
            rounded += 1
    return lengths, rounded


def _notes(places: Places, lines: Ints, quarter: int) -> tuple[Ints, Ints, int]:
    """Starts and ends of a track's notes in units from the beginning, and how many of them were moved.

    No note that had a length loses it: it lasts a step at least.
    """
    n = len(places.bars) // 2
    inside, steps, moved = units_of(places, quarter)
    units = lines[places.bars] + np.minimum(inside, np.diff(lines)[places.bars])
    starts, stops = units[:n], units[n:]
    sounding = (places.offsets[:n] != places.offsets[n:]) | (places.bars[:n] != places.bars[n:])
    vanished = (stops <= starts) & sounding
    step = np.maximum(np.maximum(steps[:n], steps[n:]), quarter // FINE_STEPS)
    late = vanished & (starts + step > lines[-1])
    starts = np.where(late, stops - step, starts)
    stops = np.where(vanished & ~late, starts + step, stops)
    return starts, stops, int((moved[:n] | moved[n:] | vanished | places.held[n:]).sum())


# ---- bars ----------------------------------------------------------------------------------------------------


def _bars(
    score: Score, ticks: Sequence[int], lengths: Sequence[int], signatures: Sequence[TimeSignature], quarter: int
) -> tuple[Bar, ...]:
    pickup = _is_pickup(score, ticks, signatures)
    later = _later_parts(score, ticks, signatures, lengths, quarter)
    bars: list[Bar] = []
    start = number = 0
    shown: tuple[int, int] | None = None
    for index, (length, own) in enumerate(zip(lengths, signatures, strict=True)):
        counted = not (index == 0 and pickup) and not later.get(index)
        signature = signatures[1] if index == 0 and pickup else own
        offset = 0
        if index == 0 and pickup:
            offset = signature.numerator * 4 * quarter // signature.denominator - length
        if index in later:
            signature, offset = bars[-1].signature, later[index]
        number += counted
        said = (signature.numerator, signature.denominator)
        bars.append(
            Bar(
                number, ticks[index], ticks[index + 1], start, length, signature, offset,
                shows_signature=said != shown, counted=counted,
            )
        )  # fmt: skip
        shown, start = said, start + length
    return tuple(bars)


def _is_pickup(score: Score, ticks: Sequence[int], signatures: Sequence[TimeSignature]) -> bool:
    """Whether the first metre lasts one bar that is shorter than one of the metre that follows."""
    if len(signatures) < 2:
        return False
    changed = any(s.time == ticks[1] for s in score.time_signatures)
    return changed and ticks[1] < signatures[1].ticks_per_bar(score.ticks_per_beat)


def _later_parts(
    score: Score, ticks: Sequence[int], signatures: Sequence[TimeSignature], lengths: Sequence[int], quarter: int
) -> dict[int, int]:
    """Bars that are parts of a split bar, with their place in it in units (0 for the first part).

    Two or more consecutive metres of one bar that fill one bar of the metre before them, which is then restated.
    """
    changes = {s.time for s in score.time_signatures}
    begins = [tick in changes for tick in ticks[:-1]]
    found: dict[int, int] = {}
    index = 1
    while index < len(signatures):
        before = signatures[index - 1]
        full = before.numerator * 4 * quarter // before.denominator
        places: dict[int, int] = {}
        last, filled, whole = index, 0, True
        while last < len(signatures) and begins[last] and lengths[last] < full:
            places[last] = filled
            filled += lengths[last]
            whole = whole and filled <= full
            filled %= full  # several bars in a row may be split
            last += 1
        after = signatures[last] if last < len(signatures) and begins[last] else None
        same = after is not None and (after.numerator, after.denominator) == (before.numerator, before.denominator)
        if places and whole and not filled and same:
            found.update(places)
        index = max(last, index) + 1
    return found
