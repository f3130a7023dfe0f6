"""In what order a tune with repeat signs and endings is played."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

MOST_PASSES = 16
"""Of one section; a sign that asks for more is a slip."""


@dataclass(frozen=True)
class Mark:
    """A sign at `time` (quarters): "start" and "end" of a repeat, or an "ending" with its numbers."""

    time: Fraction
    kind: str
    numbers: tuple[int, ...] = ()


def endings(text: str) -> tuple[int, ...]:
    """The passes that an ending is for: "1,3" or "1-3"."""
    numbers: list[int] = []
    for piece in text.split(","):
        first, _, last = piece.partition("-")
        numbers += range(int(first), min(int(last or first), MOST_PASSES) + 1)
    return tuple(numbers)


def played(marks: Sequence[Mark], end: Fraction) -> list[tuple[Fraction, Fraction]]:
    """The stretches (from, to) in the order in which they are played.

    A section is played twice, or as often as its endings say; without a "start" it begins behind the section before.
    """
    order: list[tuple[Fraction, Fraction]] = []
    section, now, turn, place = 0, Fraction(0), 1, 0
    begin = Fraction(0)  # of the section
    while place < len(marks):
        mark = marks[place]
        place += 1
        if mark.time > now:
            order.append((now, mark.time))
            now = mark.time
        if mark.kind == "start":
            begin, section, turn = mark.time, place, 1
        elif mark.kind == "ending" and turn not in mark.numbers:
            now, place = _behind_ending(marks, place, end)
        elif mark.kind == "end":
            if turn < _passes(marks, section):
                now, place, turn = begin, section, turn + 1
            else:
                begin, section, turn = mark.time, place, 1
    if end > now:
        order.append((now, end))
    return order


def _behind_ending(marks: Sequence[Mark], place: int, end: Fraction) -> tuple[Fraction, int]:
    """Where the next ending begins, or the section that follows: (time, place of the mark to go on with)."""
    for index in range(place, len(marks)):
        if marks[index].kind in {"ending", "start"}:
            return marks[index].time, index
    return end, len(marks)


def _passes(marks: Sequence[Mark], section: int) -> int:
    """How often the section whose marks begin at `section` is played."""
    most = 2
    for mark in marks[section:]:
        if mark.kind == "start":
            break
        most = max(most, *mark.numbers, 2)
    return min(most, MOST_PASSES)
