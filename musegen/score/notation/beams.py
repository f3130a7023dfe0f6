"""Beams: which notes shorter than a quarter hang together, and how."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from musegen.score.notation.metre import Metre
from musegen.score.notation.rhythm import Piece, Value

EIGHTH = -3


def beams_of(pieces: Sequence[Piece], metre: Metre) -> list[tuple[str, ...]]:
    """For each piece the state of its beams, the main one first: begin, continue, end, or a hook.

    A piece without beams has an empty tuple. Beams end at beats and at rests; eighths alone go on over the beats of
    half a bar of 4/4 and over a bar of 2/4 and 3/4.
    """
    result: list[tuple[str, ...]] = [()] * len(pieces)
    for run in _runs(pieces, metre):
        if len(run) > 1:
            levels = [EIGHTH + 1 - pieces[index].value.size for index in run]
            starts = [pieces[index].start for index in run]
            for place, index in enumerate(run):
                result[index] = tuple(_state(levels, starts, place, level) for level in range(1, levels[place] + 1))
    return result


def _runs(pieces: Sequence[Piece], metre: Metre) -> list[list[int]]:
    """Indices of pieces that follow each other under one beam."""
    wide = _wide_stretches(pieces, metre)
    runs: list[list[int]] = []
    group: object = None
    for index, piece in enumerate(pieces):
        if piece.event is None or piece.value.size > EIGHTH:
            group = None
            continue
        own = _group(piece, metre, wide)
        if own != group:
            runs.append([])
            group = own
        runs[-1].append(index)
    return runs


def _group(piece: Piece, metre: Metre, wide: set[int]) -> object:
    tuplet = piece.tuplet
    if tuplet is not None and bisect_right(metre.beats, tuplet.start) != bisect_right(metre.beats, tuplet.stop - 1):
        return ("tuplet", tuplet.start)
    stretch = bisect_right(metre.wide, piece.start)
    return ("wide", stretch) if stretch in wide else ("beat", bisect_right(metre.beats, piece.start))


def _wide_stretches(pieces: Sequence[Piece], metre: Metre) -> set[int]:
    """The stretches that plain eighths fill: where they begin in `metre.wide`, counted from 1."""
    found = set()
    for number, (low, high) in enumerate(zip(metre.wide, metre.wide[1:], strict=False), start=1):
        inside = [piece for piece in pieces if low <= piece.start < high]
        plain = all(p.event is not None and p.value == Value(EIGHTH, 0) and p.tuplet is None for p in inside)
        if plain and len(inside) > 1:
            found.add(number)
    return found


def _state(levels: Sequence[int], starts: Sequence[int], place: int, level: int) -> str:
    before = place > 0 and levels[place - 1] >= level
    after = place + 1 < len(levels) and levels[place + 1] >= level
    if before and after:
        return "continue"
    if before or after:
        return "end" if before else "begin"
    if place == 0:
        return "forward hook"
    if place + 1 == len(levels):
        return "backward hook"
    left, right = starts[place] - starts[place - 1], starts[place + 1] - starts[place]
    return "backward hook" if left > right else "forward hook"
