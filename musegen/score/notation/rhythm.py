"""Spelling of time: which note values, tied, and which tuplets say that something sounds from here to there.

Everything is in units of notation and counted from where the full bar of the metre begins.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from musegen.score.notation.metre import Metre, Span

MAX_DOTS = 2
_LARGEST_NUMBER = 13
"""Of a tuplet that goes over several beats."""


_LARGEST_READABLE = 19
"""Nobody reads a tuplet of 45, which is what ninths and fifths in one beat want."""


@dataclass(frozen=True)
class Value:
    """A written note value: `size` whole notes as a power of two (0 a whole, -2 a quarter, 1 a breve), and its dots."""

    size: int
    dots: int


@dataclass(frozen=True)
class Tuplet:
    """`number` notes of `value` in the time of `normal`, from `start` to `stop`."""

    start: int
    stop: int
    number: int
    normal: int
    value: Value


@dataclass(frozen=True)
class Piece:
    """A part of an event that one written value says; `event` is the event's index, None for a silence."""

    start: int
    stop: int
    value: Value
    event: int | None
    tuplet: Tuplet | None = None


@lru_cache(maxsize=4096)
def value_of(length: int, quarter: int) -> Value | None:
    """The value that lasts `length` units, if one with two dots at most does."""
    for dots in range(MAX_DOTS + 1):
        # a value with d dots lasts (2 - 2**-d) times its plain one
        numerator, denominator = length << dots, (4 * quarter) * ((2 << dots) - 1)
        shared = math.gcd(numerator, denominator)
        numerator, denominator = numerator // shared, denominator // shared
        if numerator & (numerator - 1) == 0 and denominator & (denominator - 1) == 0:
            return Value(numerator.bit_length() - denominator.bit_length(), dots)
    return None


class Unspellable(Exception):  # noqa: N818  # the bar is rounded and tried again; no error that a user meets
    """The places of a bar want several tuplets at once."""


def spell_bar(
    metre: Metre, quarter: int, events: Sequence[tuple[int, int]], start: int, stop: int
) -> tuple[list[Piece], list[Tuplet]]:
    """The pieces that say `events` (start, stop; in order, none overlapping) and the silences, from `start` to `stop`.

    Also the tuplets, in order. A piece never leaves its tuplet.

    Raises:
        Unspellable: where no tuplet holds all places of a beat.
    """
    filled = _with_silences(events, metre, start, stop)
    tuplets = tuplets_of(metre, quarter, [(a, b) for a, b, _ in filled])
    pieces: list[Piece] = []
    for first, last, event in filled:
        if start <= first and last <= stop:
            pieces.extend(_spell(metre.tree, quarter, first, last, event, tuplets))
    return pieces, [t for t in tuplets if t.start < stop and t.stop > start]


def _with_silences(
    events: Sequence[tuple[int, int]], metre: Metre, start: int, stop: int
) -> list[tuple[int, int, int | None]]:
    """The events and what is between them; also what lies between the bar and the full bar of its metre."""
    filled: list[tuple[int, int, int | None]] = [(0, start, None)] if start else []
    at = start
    for index, (first, last) in enumerate(events):
        if at < first:
            filled.append((at, first, None))
        filled.append((first, last, index))
        at = last
    if at < stop:
        filled.append((at, stop, None))
    if stop < metre.tree.stop:
        filled.append((stop, metre.tree.stop, None))
    return filled


def _spell(
    tree: Span, quarter: int, start: int, stop: int, event: int | None, tuplets: Sequence[Tuplet]
) -> list[Piece]:
    """The pieces of one event."""
    pieces: list[Piece] = []
    at = start
    for tuplet in tuplets:
        if tuplet.stop <= at or tuplet.start >= stop:
            continue
        if at < tuplet.start:
            pieces.extend(_plain(tree, quarter, at, tuplet.start, event))
        at = min(stop, tuplet.stop)
        pieces.extend(_inside(tuplet, quarter, max(start, tuplet.start), at, event))
    if at < stop:
        pieces.extend(_plain(tree, quarter, at, stop, event))
    return pieces


def _plain(tree: Span, quarter: int, start: int, stop: int, event: int | None) -> list[Piece]:
    pieces = []
    for first, last in divide(tree, quarter, start, stop, rest=event is None):
        value = value_of(last - first, quarter)
        assert value is not None, "divide yields what can be written"
        pieces.append(Piece(first, last, value, event))
    return pieces


def _inside(tuplet: Tuplet, quarter: int, start: int, stop: int, event: int | None) -> list[Piece]:
    """As `_plain`, in the time of the tuplet: its number of plain values, side by side."""
    number, normal = tuplet.number, tuplet.normal
    unit = (tuplet.stop - tuplet.start) // normal
    tree = Span(0, number * unit, count=number)
    first, last = ((at - tuplet.start) * number // normal for at in (start, stop))
    pieces = []
    for piece in _plain_in_tuplet(tree, quarter, first, last, event):
        begin, end = (tuplet.start + at * normal // number for at in (piece.start, piece.stop))
        pieces.append(replace(piece, start=begin, stop=end, tuplet=tuplet))
    return pieces


def _plain_in_tuplet(tree: Span, quarter: int, start: int, stop: int, event: int | None) -> list[Piece]:
    """A silence inside a tuplet may be as long as one value says where it lies on the tuplet's notes."""
    whole = value_of(stop - start, quarter)
    if event is None and whole is not None and start in tree.borders and stop in tree.borders:
        return [Piece(start, stop, whole, None)]
    return _plain(tree, quarter, start, stop, event)


# ---- values --------------------------------------------------------------------------------------------------


def divide(span: Span, quarter: int, start: int, stop: int, *, rest: bool) -> list[tuple[int, int]]:
    """(start, stop) of the values that together go from `start` to `stop` within `span`, as its parts want it."""
    value = value_of(stop - start, quarter)
    if (start, stop) == (span.start, span.stop) and value is not None and value.dots < 2:
        return [(start, stop)]
    parts = span.parts
    if not parts:
        return _by_halves(quarter, start, stop)
    crossed = [part.start for part in parts[1:] if start < part.start < stop]
    if not crossed:
        around = next(part for part in parts if part.start <= start < part.stop)
        return divide(around, quarter, start, stop, rest=rest)
    if value is not None and _may_cross(span, quarter, start, stop, value, crossed, rest=rest):
        return [(start, stop)]
    # First what is left of the part in which it begins; whole parts stay together.
    cut = crossed[-1] if start in span.borders else crossed[0]
    return divide(span, quarter, start, cut, rest=rest) + divide(span, quarter, cut, stop, rest=rest)


def _may_cross(
    span: Span, quarter: int, start: int, stop: int, value: Value, crossed: Sequence[int], *, rest: bool
) -> bool:
    """Whether one value may hide the borders between parts of `span` that it crosses."""
    begins, ends = start in span.borders, stop in span.borders
    if rest:
        short = span.length <= quarter or span.count == 3
        return not span.strict and span.dotted_rest and short and start == span.start and value.dots < 2
    if span.strict:
        return begins and ends and value.dots < 2
    if value.dots == 2 and not (start == span.start or (span.count == 3 and begins)):
        return False
    if begins or ends:
        return True
    syncopated = len(crossed) == 1 and 2 * crossed[0] == start + stop
    return syncopated and stop - start == span.parts[0].length


def _by_halves(quarter: int, start: int, stop: int) -> list[tuple[int, int]]:
    """Plain values, the largest first, where no metre reaches."""
    found = []
    while start < stop:
        size = next((size for size in _sizes(quarter) if size <= stop - start), None)
        if size is None:
            raise Unspellable
        found.append((start, start + size))
        start += size
    return found


@lru_cache(maxsize=16)
def _sizes(quarter: int) -> tuple[int, ...]:
    """The lengths that one value can say, in units, the largest first."""
    lengths = {quarter * 16 * (4 - 2 // 2**dots) // 2**halved for dots in range(2) for halved in range(3, 13)}
    return tuple(sorted((length for length in lengths if length and value_of(length, quarter)), reverse=True))


# ---- tuplets -------------------------------------------------------------------------------------------------


def tuplets_of(metre: Metre, quarter: int, events: Sequence[tuple[int, int]]) -> list[Tuplet]:
    """The tuplets that `events` need, which fill the bar without a gap."""
    grain = quarter // 16
    places = sorted({start for start, _ in events})
    odd = [place for place in places if place % grain]
    if not odd:
        return []
    search = _Search(quarter, grain, places, events)
    n_atoms = -(-metre.tree.length // metre.atom)
    joined = _joined_atoms(search, metre.atom, n_atoms)
    found: list[Tuplet] = []
    first = 0
    for index in range(n_atoms):
        if index + 1 < n_atoms and joined[index]:
            continue
        low, high = first * metre.atom, min((index + 1) * metre.atom, metre.tree.stop)
        tuplet = search.tuplet(low, high) if index > first else None
        if tuplet is not None and tuplet.number <= _LARGEST_NUMBER:
            found.append(tuplet)
        else:
            for atom in range(first, index + 1):
                found.extend(search.within(atom * metre.atom, min((atom + 1) * metre.atom, high)))
        first = index + 1
    return found


def _joined_atoms(search: _Search, atom: int, n_atoms: int) -> list[bool]:
    """For each border between atoms, whether one tuplet goes over it."""
    joined = [False] * max(0, n_atoms - 1)
    for start, stop in search.crossing:
        if search.is_odd(start) and search.is_odd(stop):
            for border in range(start // atom, min(stop // atom, n_atoms - 1)):
                joined[border] = True
    for size in (4, 2):  # triplets of halves, of quarters, where a beat alone would need ties
        for first in range(0, n_atoms - size + 1, size):
            low, high = first * atom, (first + size) * atom
            third, rest = divmod(high - low, 3)
            inner = search.inner(low, high)
            crossed = any(start < at < stop for start, stop in search.crossing for at in range(low + atom, high, atom))
            if inner and not rest and crossed and set(inner) <= {low + third, low + 2 * third}:
                joined[first : first + size - 1] = [True] * (size - 1)
    return joined


class _Search:
    """Looks for tuplets among the events of a bar."""

    def __init__(self, quarter: int, grain: int, places: Sequence[int], events: Sequence[tuple[int, int]]) -> None:
        self._quarter, self._grain, self._places = quarter, grain, places
        self.crossing = [(a, b) for a, b in events if a % grain or b % grain]
        """The events with an end at an odd place; only they can bind beats together."""

    def is_odd(self, place: int) -> bool:
        """Whether no plain value ends at `place`."""
        return place % self._grain != 0

    def inner(self, low: int, high: int) -> list[int]:
        """The places between `low` and `high` where an event begins."""
        return [place for place in self._places if low < place < high]

    def within(self, low: int, high: int) -> list[Tuplet]:
        """The tuplets between `low` and `high`, each as short as its notes allow."""
        inner = self.inner(low, high)
        if not any(self.is_odd(place) for place in inner):
            return []
        middle, rest = divmod(low + high, 2)
        fine = not rest and high - low >= self._quarter // 4
        if fine and not any(start < middle < stop for start, stop in self.crossing):
            return self.within(low, middle) + self.within(middle, high)
        tuplet = self.tuplet(low, high)
        if tuplet is None or tuplet.number > _LARGEST_READABLE:
            raise Unspellable
        return [tuplet]

    def tuplet(self, low: int, high: int) -> Tuplet | None:
        """The tuplet from `low` to `high` that holds all places between; None where no such one can be written."""
        length = high - low
        number = 1
        for place in self.inner(low, high):
            denominator = length // math.gcd(place - low, length)
            number = math.lcm(number, denominator // (denominator & -denominator))
        quarters = length // math.gcd(length, self._quarter)
        normal = quarters // (quarters & -quarters)  # 1 for a plain value, 3 for a dotted beat
        if number <= normal:
            return None
        while normal * 2 < number:
            normal *= 2
        value = value_of(length // normal, self._quarter) if length % normal == 0 else None
        return Tuplet(low, high, number, normal, value) if value is not None and value.dots == 0 else None
