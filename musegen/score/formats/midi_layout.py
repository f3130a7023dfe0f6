"""Messages with their ticks -> the bodies of track chunks, for midi_writer.py.

All messages are laid out and sorted as arrays at once, each packed into one integer: its bytes, the first lowest, and
above them how many they are. Meta and sysex events, which differ in length, are set into the gaps left for them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from musegen.errors import FileFormatError
from musegen.score.formats import smf
from musegen.score.model import Array

_WORDS, OFF, CONTROLS, PROGRAMS, BENDS, PRESSURES, ON, _END = range(8)  # ranks at one tick
_RANK_BITS, _TICK_BITS = 3, 31
_SIZE = 24  # the bit above which a packed message says its size
_END_OF_TRACK = smf.META | smf.END_OF_TRACK << 8 | 3 << _SIZE
Special = tuple[int, int, bytes]
"""(chunk, tick, message)."""
Rows = tuple[Array, Array, int, Array]
"""(chunks, ticks, rank, packed messages)."""


def packed(status: Array, data1: Array, data2: Array | None = None) -> Array:
    """Messages of one data byte or two."""
    messages: Array = status | data1 << 8 | (2 << _SIZE if data2 is None else data2 << 16 | 3 << _SIZE)
    return messages


def laid_out(n_chunks: int, rows: Sequence[Rows], specials: Sequence[Special], end: int) -> list[bytes]:
    """The bodies of the chunks: every event behind its wait, and the end of the track at `end` or the last event."""
    keys, messages = _keyed(n_chunks, rows, specials)
    order = keys.argsort(kind="stable")
    keys, messages = keys.take(order), messages.take(order)
    ticks = keys >> _RANK_BITS & smf.MAX_TICK
    closing = keys.searchsorted(np.arange(1, n_chunks + 1) << _TICK_BITS + _RANK_BITS) - 1
    opening = np.append(0, closing[:-1] + 1)
    ticks[closing] = np.maximum(np.where(closing > opening, ticks[closing - 1], 0), end)
    waits = np.empty_like(ticks)
    waits[1:] = ticks[1:] - ticks[:-1]
    waits[opening] = ticks[opening]
    if waits.max() > smf.MAX_DELTA:
        chunks = keys >> _TICK_BITS + _RANK_BITS
        pauses = [
            (chunk, tick, smf.PAUSE)
            for chunk, start, wait in np.stack((chunks, ticks - waits, waits), 1).tolist()
            for tick in range(start + smf.MAX_DELTA, start + wait, smf.MAX_DELTA)
        ]
        return laid_out(n_chunks, rows, [*specials, *pauses], end)
    out, starts = _written(waits, messages)
    at = np.empty(len(order), np.int64)
    at[order] = starts
    firsts = at[: len(specials)].tolist()  # they stand first in the unsorted events
    for start, (*_, message) in zip(firsts, specials, strict=True):
        out[start : start + len(message)] = message
    stops = (starts[closing] + (_END_OF_TRACK >> _SIZE)).tolist()
    return [bytes(out[start:stop]) for start, stop in zip([0, *stops[:-1]], stops, strict=True)]


def _keyed(n_chunks: int, rows: Sequence[Rows], specials: Sequence[Special]) -> tuple[Array, Array]:
    """Of the specials, the rows and the ends of the chunks, by which key they are to be sorted, and the messages.

    A special is packed as its size alone; an end stands at the last tick of all.
    """
    words = np.array([(chunk, tick, len(message) << _SIZE) for chunk, tick, message in specials], np.int64)
    chunks, ticks, packed = words.reshape(-1, 3).T
    every = np.ones(n_chunks, np.int64)
    chunks = np.concatenate((chunks, *(row[0] for row in rows), np.arange(n_chunks)))
    ticks = np.concatenate((ticks, *(row[1] for row in rows), every * smf.MAX_TICK))
    packed = np.concatenate((packed, *(row[3] for row in rows), every * _END_OF_TRACK))
    if ticks.min() < 0 or ticks.max() > smf.MAX_TICK:
        wrong = ticks[(ticks < 0) | (ticks > smf.MAX_TICK)]
        raise FileFormatError(f"something stands at tick {wrong[0]}; ticks go from 0 to {smf.MAX_TICK}")
    sizes = (len(specials), *(len(row[1]) for row in rows), n_chunks)
    ranks = np.array((_WORDS, *(row[2] for row in rows), _END)).repeat(sizes)
    return (chunks << _TICK_BITS | ticks) << _RANK_BITS | ranks, packed


def _written(waits: Array, messages: Array) -> tuple[bytearray, Array]:
    """The bytes of each wait and message, and where the messages begin.

    The three bytes of a message are written before the waits, which write over what a shorter one has too many.
    """
    sizes, longest = messages >> _SIZE, int(waits.max())
    stops = sizes + 1
    beyond = [limit for limit in (0x7F, 0x3FFF, 0x1FFFFF) if longest > limit]
    for limit in beyond:
        stops += waits > limit
    stops = stops.cumsum()
    starts = stops - sizes
    out = np.empty(int(stops[-1]), np.uint8)
    for byte in range(3):
        out[starts + byte] = (messages >> 8 * byte).astype(np.uint8)
    out[starts - 1] = (waits & 0x7F).astype(np.uint8)
    for back, limit in enumerate(beyond, 1):
        has = (waits > limit).nonzero()[0]
        out[starts.take(has) - back - 1] = (waits.take(has) >> 7 * back & 0x7F | 0x80).astype(np.uint8)
    return bytearray(out), starts
