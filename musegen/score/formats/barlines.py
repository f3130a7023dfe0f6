"""Bar lines of written music in quarters -> the metres, and the ticks a quarter, that say them in a Score."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction

from musegen.score.model import TimeSignature

FINEST_TICKS_PER_BEAT = 32_767
LONGEST_NUMERATOR = 255
"""What MIDI can say."""


def metres(
    starts: Sequence[Fraction], changes: Iterable[tuple[Fraction, int, int]], ticks: Callable[[Fraction], int]
) -> Iterator[TimeSignature]:
    """The metres that put a Score's bar lines where those of the source are; `ticks` turns quarters into ticks.

    `starts` are the bar lines and the end in quarters, `changes` the metres that the source states.

    A bar of another length than the metre's gets a metre of its own, where one exists, and the metre is restated
    behind it; a short last bar needs none.
    """
    stated = {start: (numerator, denominator) for start, numerator, denominator in changes}
    metre, fits = (4, 4), True  # the metre of the source, and whether it is the one in force
    last = len(starts) - 2
    for index, start in enumerate(starts[:-1]):
        new = stated.get(start)
        metre = new or metre
        length, nominal = starts[index + 1] - start, Fraction(4 * metre[0], metre[1])
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
