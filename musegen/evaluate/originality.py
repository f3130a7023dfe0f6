"""Originality: the longest passage that a piece shares with the training set, in any key and any tempo.

Conventions: a piece is read as lines (see originality_index). A passage is a stretch of one line of the piece that
also stands in one line of a work, under one transposition T (semitones) and one factor r of time: a note of the
piece is shared if in the work a note of the line begins at its place in time (within a 24th of a quarter) with its
pitch, less T. Every other note in the stretch, of the piece or of the work, is a change, but where the two begin
together they are one. The passage scores one for each shared note and -3 for each change, at most 3 changes follow each
other, and it begins and ends with a shared note; the best-scoring stretch is the passage of the two lines. Its
length is the number of shared notes. The longest over all lines and works is what the piece is told by.

What is looked at (seed and extend, as Altschul et al., 1990, do for proteins): lines that have SEED notes in a row
in common, of at least 4 different pitches and standing at no more than 200 places of the training set, since what
stands everywhere is common stock (a scale, an ostinato); of these, the 64 pairs of places with most notes in such
seeds and the 64 that agree best at first sight. A passage without such a seed is not found: a repeated note or a
trill, for one, is none however long.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace

import numpy as np

from musegen.errors import RequestError
from musegen.evaluate.originality_index import SEED, Array, Index, Line, Lines, Work, joined, lines_of
from musegen.score.model import Score
from musegen.score.timing import bar_of

MIN_PITCHES = 4
"""Different pitches in a seed."""
MAX_PLACES = 200
"""Places in the training set at which a seed may stand; those at more are common stock."""
CANDIDATES = 64
"""Pairs of places that are looked at closely, of each of two rankings."""
CHANGE = 3
"""What a change costs, in shared notes: at least three in four notes of a passage are shared."""
MOST_CHANGES = 3
"""Changes that may follow each other."""

_GLANCES = 1024
"""Pairs of places, those with most notes in common seeds, from which CANDIDATES are chosen."""
_REACH = 64
"""Notes before the first and after the last seed of a pair that are looked at, and at most between two of them."""
_FACTORS = np.array([1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 4, 1, 4 / 3, 3 / 2, 2, 3, 4])
"""Factors of time that a seed's is taken for when it is within 2 %: times are rounded to steps."""


@dataclass(frozen=True)
class Passage:
    """What a piece and a work have in common.

    Attributes:
        notes: shared notes, 0 where there is nothing; changes: notes among them that one of the two has otherwise.
        work: where it stands; None where there is nothing.
        track: the track in the piece (from 0); bar and last_bar: in the piece, from 1.
        transposition: semitones from the work up to the piece; stretch: factor of time from the work to the piece.
        share: shared notes in the notes of all lines of the piece, 0 to 1.
    """

    notes: int = 0
    changes: int = 0
    work: Work | None = None
    track: int = 0
    bar: int = 0
    last_bar: int = 0
    transposition: int = 0
    stretch: float = 1.0
    share: float = 0.0


@dataclass(frozen=True)
class _Pair:
    """Seeds that the piece and a line of the index have at the same distance: the first one and where the last ends."""

    query: int
    query_end: int
    place: int
    place_end: int


def validate(score: Score) -> None:
    """Raise RequestError if there is no line in a piece."""
    if not any(len(track.notes) for track in score.tracks):
        raise RequestError("has no notes, so it shares nothing")
    if not any(len(track.notes) and not track.is_drum for track in score.tracks):
        raise RequestError("has only drums, which have no line to compare")


def evaluate(index: Index, score: Score) -> Passage:
    """`longest_passage` of a piece that has a line; raises as `validate`."""
    validate(score)
    return longest_passage(index, score)


def longest_passage(index: Index, score: Score, new_from: int = 0) -> Passage:
    """The longest passage that the piece shares with a work; of equal ones the one with fewest changes.

    Args:
        index: the training set.
        score: the piece.
        new_from: notes of the first track that begin before this tick are not the piece's own and do not count.
    """
    lines = lines_of(score, new_from)
    query = joined(lines)
    best = Passage()
    for pair in _pairs(index, query):
        found, first, last = _compare(index, query, pair)
        if (found.notes, -found.changes) > (best.notes, -best.changes):
            line = int(query.line_of[pair.query])
            best = _placed(found, score, lines[line], first - int(query.bounds[line]), last - int(query.bounds[line]))
    return replace(best, share=best.notes / len(query.pitches)) if best.notes else best


def _placed(found: Passage, score: Score, line: Line, first: int, last: int) -> Passage:
    """The passage with where it stands in the piece."""
    bars = [bar_of(score, int(line.ticks[k])) + 1 for k in (first, last)]
    return replace(found, track=line.track, bar=bars[0], last_bar=bars[1])


def _pairs(index: Index, query: Lines) -> list[_Pair]:
    """The pairs of places that promise most: by the notes in their common seeds, and by a glance around them."""
    q, p = _hits(index, query)
    if not len(q):
        return []
    # One number to sort by, since it is many times faster than by two keys: distance first, then place in the query.
    keys = np.sort((p - q + (1 << 24)) << 24 | q)
    q = keys & 0xFFFFFF
    p = (keys >> 24) - (1 << 24) + q
    steps = np.diff(q)
    apart = (np.diff(p - q) != 0) | (steps > _REACH)
    apart |= (np.diff(query.line_of[q]) != 0) | (np.diff(index.lines.line_of[p]) != 0)
    starts = np.flatnonzero(np.append(True, apart))
    covered = np.add.reduceat(np.append(SEED, np.where(apart, SEED, np.minimum(steps, SEED))), starts)
    ends = np.append(starts[1:], len(q)) - 1
    best = np.argsort(-covered, kind="stable")
    glanced = best[:_GLANCES]
    promise = np.maximum(covered[glanced], _glance(index, query, q[starts[glanced]], p[starts[glanced]]))
    chosen = best[:CANDIDATES].tolist() + glanced[np.argsort(-promise, kind="stable")[:CANDIDATES]].tolist()
    return [
        _Pair(int(q[starts[k]]), int(q[ends[k]]) + SEED, int(p[starts[k]]), int(p[ends[k]]) + SEED)
        for k in dict.fromkeys(chosen)
    ]


def _glance(index: Index, query: Lines, q: Array, p: Array) -> Array:
    """For each pair of notes, q (K,) in the query and p (K,) in the index, the best score of a stretch around them.

    Scored as passages are, but by pitch alone and note against note: a first look at many pairs at once.
    """
    low = np.maximum(query.bounds[query.line_of[q]] - q, index.lines.bounds[index.lines.line_of[p]] - p)
    high = np.minimum(query.bounds[query.line_of[q] + 1] - q, index.lines.bounds[index.lines.line_of[p] + 1] - p)
    at = np.arange(-_REACH, _REACH)  # (W,) notes before and after
    inside = (at >= low[:, None]) & (at < high[:, None])  # (K, W)
    pitches = query.pitches[np.clip(q[:, None] + at, 0, len(query.pitches) - 1)]
    works = index.lines.pitches[np.clip(p[:, None] + at, 0, index.n_notes - 1)]
    same = inside & (pitches - works == (query.pitches[q] - index.lines.pitches[p])[:, None])
    sums = np.cumsum(np.where(same, 1, -CHANGE).astype(np.int32), axis=1)
    return np.asarray((sums - np.minimum.accumulate(sums, axis=1)).max(axis=1)) + 1


def _hits(index: Index, query: Lines) -> tuple[Array, Array]:
    """Where the query and the index have a seed in common: the note in the one and the note in the other."""
    notes = query.whole
    if not len(notes):
        return notes, notes
    pitches = np.sort(np.lib.stride_tricks.sliding_window_view(query.pitches, SEED)[notes], axis=1)
    notes = notes[np.count_nonzero(np.diff(pitches, axis=1), axis=1) + 1 >= MIN_PITCHES]
    seeds, places = index.table
    first = np.searchsorted(seeds, query.seeds[notes], side="left")
    count = np.searchsorted(seeds, query.seeds[notes], side="right") - first
    count[count > MAX_PLACES] = 0
    within = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    return np.repeat(notes, count), places[np.repeat(first, count) + within]


def _compare(index: Index, query: Lines, pair: _Pair) -> tuple[Passage, int, int]:
    """The passage of the two lines around a pair, and the first and last note of it in the query."""
    line, other = int(query.line_of[pair.query]), int(index.lines.line_of[pair.place])
    low = max(int(query.bounds[line]), pair.query - _REACH)
    high = min(int(query.bounds[line + 1]), pair.query_end + _REACH)
    # Twice as far in the work: a piece that leaves notes out is further on in it.
    work_low = max(int(index.lines.bounds[other]), pair.place - 2 * _REACH)
    work_high = min(int(index.lines.bounds[other + 1]), pair.place_end + 2 * _REACH)
    r = _factor(query.times[pair.query :][:SEED], index.lines.times[pair.place :][:SEED])
    transposition = int(query.pitches[pair.query] - index.lines.pitches[pair.place])
    times = (query.times[low:high] - query.times[pair.query]) / r  # as the work would have them
    work_times = index.lines.times[work_low:work_high] - index.lines.times[pair.place]
    tolerance = 0.5 + 0.5 / r  # both are rounded to the nearest step
    left = np.searchsorted(work_times, times - tolerance, side="left")
    right = np.searchsorted(work_times, times + tolerance, side="right")
    pitches = index.lines.pitches[work_low + _nearest(work_times, times)] + transposition
    shared = np.flatnonzero((right > left) & (pitches == query.pitches[low:high]))
    missing = np.maximum(left - np.append(left[:1], right[:-1]), 0)  # notes of the work between those of the piece
    alone = np.ones(len(times), np.int64)
    alone[shared] = 0
    changes = np.cumsum(alone + missing)
    first, last = _best_stretch(changes[shared])
    count = int(changes[shared[last]] - changes[shared[first]])
    found = Passage(last - first + 1, count, index.works[index.owners[other]],
                    transposition=transposition, stretch=float(r))  # fmt: skip
    return found, low + int(shared[first]), low + int(shared[last])


def _nearest(values: Array, wanted: Array) -> Array:
    """For each of `wanted` the index of the nearest of `values`, which rise."""
    after = np.clip(np.searchsorted(values, wanted), 1, len(values) - 1)
    return after - (wanted - values[after - 1] <= values[after] - wanted)


def _factor(times: Array, work_times: Array) -> float:
    """The factor of time from a seed of the work to one of the piece."""
    r = float(times[-1] - times[0]) / float(work_times[-1] - work_times[0])
    nearest = float(_FACTORS[np.abs(_FACTORS - r).argmin()])
    return nearest if abs(nearest - r) < 0.02 * r else r


def _best_stretch(changes: Array) -> tuple[int, int]:
    """The first and last shared note (counted among themselves) of the stretch with the best score.

    `changes` is how many changes there are up to each shared note. Kadane's algorithm: the score of the best
    stretch that ends at a note is the rise of the running sum above its lowest value so far.
    """
    between = np.diff(changes, prepend=changes[0])
    price = np.where(between > MOST_CHANGES, len(changes) + 1, CHANGE * between)  # more than all that came before
    before = np.arange(len(changes)) - np.cumsum(price)  # the running sum, without the note itself
    rise = before + 1 - np.minimum.accumulate(before)
    last = int(rise.argmax())
    return int(before[: last + 1].argmin()), last


def standing(index: Index, notes: int, source: str | None = None) -> tuple[float, int]:
    """How usual it is: (share, of how many) of the real pieces outside the index that share as many notes or more.

    Of one source, or of all; (nan, 0) where none were measured.
    """
    values = sorted(n for name, lengths in index.real.items() if source in (None, name) for n in lengths)
    return ((len(values) - bisect_left(values, notes)) / len(values) if values else float("nan")), len(values)
