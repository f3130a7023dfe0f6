"""Where the bars of a music21 stream begin, and the metres that say so in a Score.

music21 places each part's measures by what that part holds, so a part with a measure left incomplete runs ahead of
the others from there on. Here a measure begins at one time in all parts.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from musegen.score.model import TimeSignature

LONGEST_NUMERATOR = 255
"""What MIDI can say."""
SHORTEST_UNIT = 2**15
FINEST_TICKS_PER_BEAT = 32_767


@dataclass(frozen=True)
class Bars:
    """The bars of a piece, times in quarters.

    Attributes:
        starts: of the bars and the end of the last; without measures only 0 and the end.
        metres: (start, numerator, denominator) as the source states them, at most one a start.
        measures: the Measures of each part.
        shifts: of each part, where its measures began in music21 and where they begin now.
    """

    starts: list[Fraction]
    metres: list[tuple[Fraction, int, int]]
    measures: list[list[Any]]
    shifts: list[tuple[list[Fraction], list[Fraction]]]

    def time(self, part: int, offset: Fraction) -> Fraction:
        """The time of an element that stands at `offset` in the part itself, outside its measures."""
        old, new = self.shifts[part]
        index = bisect_right(old, offset) - 1
        return new[index] + offset - old[index] if index >= 0 else offset


def exact(value: Any) -> Fraction:
    """music21's offsets and lengths, floats where they are dyadic, as fractions."""
    from music21.common import opFrac

    return Fraction(opFrac(value))


def find_bars(parts: list[Any]) -> Bars:
    """The bars of parts that sound together."""
    from music21 import stream

    measures = [list(part.getElementsByClass(stream.Measure)) for part in parts]
    offsets = [[exact(part.elementOffset(m)) for m in own] for part, own in zip(parts, measures, strict=True)]
    stated = [_stated(own) for own in measures]
    counts = {len(own) for own in measures if own}
    if len(counts) == 1:
        starts = _aligned(measures, stated, min(own[0] for own in offsets if own))
        shifts = [(own, starts[: len(own)]) for own in offsets]
    else:  # none has bars, or each has its own: music21's times, and the bars of the first that has any
        first = next((i for i, own in enumerate(measures) if own), None)
        end = max((exact(part.highestTime) for part in parts), default=Fraction(0))
        starts = [Fraction(0), end] if first is None else [*offsets[first], max(end, offsets[first][-1])]
        shifts = [(own, own) for own in offsets]
    found: dict[Fraction, tuple[int, int]] = {}
    for (_, own), of_part in zip(shifts, stated, strict=True):
        for start, metre in zip(own, of_part, strict=True):
            if metre:
                found.setdefault(start, metre)
    return Bars(starts, [(at, *metre) for at, metre in sorted(found.items())], measures, shifts)


def _stated(measures: list[Any]) -> list[tuple[int, int] | None]:
    """The metre that each of a part's measures states, None where it states none."""
    return [metre_of(measure.timeSignature) for measure in measures]


def metre_of(signature: Any) -> tuple[int, int] | None:
    """A music21 TimeSignature as (numerator, denominator); None for none, and for one that MIDI cannot say."""
    if signature is None or not signature.numerator:
        return None
    numerator, denominator = signature.numerator, signature.denominator
    fits = numerator <= LONGEST_NUMERATOR and denominator <= SHORTEST_UNIT and not denominator & (denominator - 1)
    return (numerator, denominator) if fits else None


def _aligned(measures: list[list[Any]], stated: list[list[tuple[int, int] | None]], start: Fraction) -> list[Fraction]:
    """The common starts of the measures, and the end."""
    starts, metre = [start], (4, 4)
    for here in zip(
        *((zip(own, said, strict=True)) for own, said in zip(measures, stated, strict=True) if own), strict=True
    ):
        metre = next((said for _, said in here if said), metre)
        starts.append(starts[-1] + _length([_extent(measure) for measure, _ in here], Fraction(4 * metre[0], metre[1])))
    return starts


def _extent(measure: Any) -> tuple[Fraction, Fraction]:
    """How far a measure's notes and rests reach, and how far its notes, in quarters."""
    written = sounding = Fraction(0)
    for element in measure:
        inner = [(element, measure.elementOffset(element))] if not element.isStream else [
            (e, measure.elementOffset(element) + e.offset) for e in element.flatten()
        ]  # fmt: skip
        for single, offset in inner:
            if "GeneralNote" in single.classes and "Harmony" not in single.classes:
                end = exact(offset + single.quarterLength)
                written = max(written, end)
                sounding = sounding if single.isRest else max(sounding, end)
    return written, sounding


def _length(extents: list[tuple[Fraction, Fraction]], nominal: Fraction) -> Fraction:
    """How long a bar is whose parts reach so far.

    Files leave rests out, or hide too many of them. So a part that is silent counts only where all are; a rest past the
    metre does not count; and where parts disagree, the metre decides if one fills it, otherwise most of them.
    """
    busy = [max(sounding, min(written, nominal)) for written, sounding in extents if sounding]
    lengths = busy or [written for written, _ in extents if written] or [nominal]
    if nominal in lengths:
        return nominal
    return max(lengths, key=lambda length: (lengths.count(length), length))


def metres(bars: Bars, ticks: Any) -> Iterator[TimeSignature]:
    """The metres that put a Score's bar lines where those of the source are; `ticks` turns quarters into ticks.

    A bar of another length than the metre's gets a metre of its own, where one exists, and the metre is restated
    behind it; a short last bar needs none.
    """
    stated = {start: (numerator, denominator) for start, numerator, denominator in bars.metres}
    metre, fits = (4, 4), True  # the metre of the source, and whether it is the one in force
    last = len(bars.starts) - 2
    for index, start in enumerate(bars.starts[:-1]):
        new = stated.get(start)
        metre = new or metre
        length, nominal = bars.starts[index + 1] - start, Fraction(4 * metre[0], metre[1])
        if length == nominal or length <= 0 or (index == last and length < nominal):
            if new or not fits:
                yield TimeSignature(ticks(start), *metre)
            fits = True
        else:
            yield TimeSignature(ticks(start), *(_own_metre(length) or metre))
            fits = False


def resolution_for(times: Iterable[Fraction]) -> int:
    """Ticks a quarter: the least multiple of 480 that holds every time (in quarters), or 480 where there is none."""
    result = 480
    for denominator in {time.denominator for time in times}:
        result = math.lcm(result, denominator)
        if result > FINEST_TICKS_PER_BEAT:
            return 480
    return result


def _own_metre(length: Fraction) -> tuple[int, int] | None:
    """The metre of a bar of `length` quarters, over 4, 8, 16 or 32."""
    for denominator in (4, 8, 16, 32):
        numerator = length * denominator / 4
        if numerator.denominator == 1 and 0 < numerator <= LONGEST_NUMERATOR:
            return int(numerator), denominator
    return None
