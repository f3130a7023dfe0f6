"""How a bar is divided: the tree of its parts, its beats, and what is beamed together.

All lengths are in units of notation (grid.py). Places are counted from where the full bar of the metre begins, so that
the one quarter of a pickup before 4/4 stands at the place of the fourth quarter.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

_LEVELS = 8
"""How often a beat is halved at most: down to 1/256 of it."""


@dataclass(frozen=True)
class Span:
    """A stretch of a bar and the parts into which the metre divides it.

    Attributes:
        start: place of its beginning, in units.
        length: in units.
        count: how many equal parts it has, unless `groups` says otherwise.
        groups: the parts, where they are spans with a division of their own.
        strict: whether a note that crosses a border of parts must begin and end on such borders.
        dotted_rest: whether a rest that begins with the span may take more than its first half.
        levels: how often its parts can be divided further.
    """

    start: int
    length: int
    count: int = 2
    groups: tuple[Span, ...] = ()
    strict: bool = False
    dotted_rest: bool = False
    levels: int = _LEVELS

    @property
    def stop(self) -> int:
        """Where it ends."""
        return self.start + self.length

    @cached_property
    def parts(self) -> tuple[Span, ...]:
        """Its parts in order; none where it is divided no further."""
        if self.groups:
            return self.groups
        if self.levels == 0 or self.length % self.count:
            return ()
        size = self.length // self.count
        return tuple(
            Span(self.start + i * size, size, dotted_rest=True, levels=self.levels - 1) for i in range(self.count)
        )

    @cached_property
    def borders(self) -> tuple[int, ...]:
        """Where its parts begin, and its end."""
        return (*(part.start for part in self.parts), self.stop)


@dataclass(frozen=True)
class Metre:
    """The division of one metre.

    Attributes:
        tree: the whole bar.
        atom: the unit that a performance is rounded in and that tuplets begin on; a quarter at most.
        beats: where the beats begin, and the end of the bar.
        wide: where stretches begin whose eighths go under one beam, and the end of the bar.
    """

    tree: Span
    atom: int
    beats: tuple[int, ...]
    wide: tuple[int, ...]


def group_sizes(numerator: int, denominator: int) -> tuple[int, ...]:
    """How the beats of a metre fall into groups: (1, 1, 1) in 3/4, (3, 3) in 6/8, (2, 2, 3) in 7/8, (3, 2) in 5/4."""
    if numerator > 3 and numerator % 3 == 0 and denominator >= 4:
        return (3,) * (numerator // 3)
    if numerator == 3 and denominator >= 8:
        return (3,)
    if numerator % 4 == 0 and numerator > 4:
        return (4,) * (numerator // 4)
    if numerator <= 4:
        return (1,) * numerator
    twos = (2,) * ((-numerator) % 3)
    threes = (3,) * ((numerator - 2 * len(twos)) // 3)
    return threes + twos if numerator == 5 else twos + threes


@lru_cache(maxsize=256)
def metre(numerator: int, denominator: int, quarter: int) -> Metre:
    """The division of numerator/denominator where a quarter has `quarter` units."""
    unit = 4 * quarter // denominator
    sizes = group_sizes(numerator, denominator)
    tree = _tree(numerator, unit, sizes)
    if set(sizes) == {1}:
        beats = tree.borders if numerator != 4 else tuple(range(0, 5 * unit, unit))
    else:
        beats = tree.borders if len(sizes) > 1 else (0, tree.stop)
    wide = beats
    if set(sizes) == {1} and numerator in {2, 3, 4} and denominator >= 2:
        wide = (0, 2 * unit, 4 * unit) if numerator == 4 else (0, tree.stop)
    return Metre(tree, min(unit, quarter), beats, wide)


def _tree(numerator: int, unit: int, sizes: tuple[int, ...]) -> Span:
    if sizes == (3,):
        return Span(0, 3 * unit, count=3, dotted_rest=True)
    if set(sizes) == {1}:
        return Span(0, numerator * unit, count=1 if numerator == 1 else 3 if numerator == 3 else 2)
    groups, start = [], 0
    for size in sizes:
        groups.append(Span(start, size * unit, count=3 if size == 3 else 2, dotted_rest=size == 3))
        start += size * unit
    return Span(0, start, groups=tuple(groups), strict=True)
