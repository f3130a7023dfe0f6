"""Where the bars of a music21 stream begin.

music21 places each part's measures by what that part holds, so a part with a measure left incomplete runs ahead of
the others from there on. Here a measure begins at one time in all parts.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from musegen.score.formats.barlines import LONGEST_NUMERATOR

SHORTEST_UNIT = 2**15


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
