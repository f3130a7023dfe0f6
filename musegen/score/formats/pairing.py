"""Which note-off ends which note-on, for all pitches of a file at once.

The rule: of overlapping notes of one pitch on one channel of one track, the first to begin is the first to end; an
off without a note waiting for it says nothing. Where a pitch has more notes than offs, so that a note would sound for
ever, all its notes end at the next off, or when the pitch is struck anew, or all notes of the channel are told to end
(controllers 120 and 123), whichever comes first, and what is left at the end of the track ends there.
"""

from __future__ import annotations

import numpy as np

from musegen.score.model import Array

NONE = -1
"""In place of an off: the end of the track."""


def pair(key: Array, is_on: Array, tick: Array) -> tuple[Array, Array, Array | None, int, int]:
    """Pair notes with their ends.

    Args:
        key: (n,) an unsigned number for each track, channel and pitch, in file order.
        is_on: (n,) bool, true where a note begins and false where one ends.
        tick: (n,) never falling within a key.

    Returns:
        For each note-on its index and that of the event at which it ends (NONE: with its track), then whether its
        pitch has more notes than offs (None if none has), and how many notes had no end of their own, how many offs
        no note.
    """
    order = key.argsort(kind="stable")
    key, is_on = key[order], is_on[order]
    if not len(order) % 2 and is_on[0::2].all() and not is_on[1::2].any() and np.array_equal(key[0::2], key[1::2]):
        return order[0::2], order[1::2], None, 0, 0
    fresh = np.append(True, key[1:] != key[:-1]) if len(key) else np.zeros(0, np.bool_)
    group = np.cumsum(fresh) - 1
    waiting = np.cumsum(np.where(is_on, 1, -1))
    floor = group * -(2 * len(key) + 2)  # each group lies wholly below those before it
    begins = np.flatnonzero(fresh)
    waiting += floor - (waiting[begins] - np.where(is_on[begins], 1, -1))[group]
    lowest = np.minimum(np.minimum.accumulate(waiting), floor)
    before = np.where(fresh, floor, np.append(floor[:1], lowest[:-1]))
    idle = ~is_on & (waiting < before)
    ons, offs = np.flatnonzero(is_on), np.flatnonzero(~is_on & ~idle)
    n_groups = len(begins)
    n_ons, n_offs = np.bincount(group[ons], minlength=n_groups), np.bincount(group[offs], minlength=n_groups)
    first_on, first_off = np.cumsum(n_ons) - n_ons, np.cumsum(n_offs) - n_offs
    ends = np.full(len(ons), NONE, np.int64)
    of_off = group[offs]
    ends[first_on[of_off] + np.arange(len(offs)) - first_off[of_off]] = offs
    stuck = (n_ons > n_offs)[group[ons]]
    unended = int((n_ons - n_offs).sum())
    if unended:
        ends[stuck] = _struck_anew(ons[stuck], group, is_on, tick[order])
    ended = np.where(ends == NONE, NONE, order[ends])
    return order[ons], ended, stuck if unended else None, unended, int(idle.sum())


def _struck_anew(ons: Array, group: Array, is_on: Array, tick: Array) -> Array:
    """The next event of the pitch after each of `ons`: an off, or an on at a later tick; NONE if there is none."""
    place = np.append(group, group[-1] + 1) * np.int64(2**32)
    place[:-1] += tick
    following = ons + 1
    on_next = np.append(is_on, False)[following]
    later = np.searchsorted(place, place[ons], side="right")
    ends = np.where(on_next, later, following)
    return np.where(np.append(group, -1)[ends] == group[ons], ends, NONE)
