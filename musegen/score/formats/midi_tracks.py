"""The channel messages of a MIDI file as Tracks without words: all notes of a file are paired and sorted at once."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from musegen.score.formats import smf
from musegen.score.formats.options import Limits
from musegen.score.formats.pairing import NONE, pair
from musegen.score.formats.smf import Events
from musegen.score.model import (
    BEND_DTYPE,
    CONTROL_DTYPE,
    NOTE_DTYPE,
    PRESSURE_DTYPE,
    PROGRAM_DTYPE,
    RELEASE_DTYPE,
    Array,
    frozen,
)

_DTYPES = {"controls": CONTROL_DTYPE, "bends": BEND_DTYPE}
ALL_SOUND_OFF, ALL_NOTES_OFF = 120, 123
UNSAID_RELEASES = (0, 64)
"""Release velocities of programs that know none."""


def parts_of(events: Events, limits: Limits, remarks: Counter[str]) -> list[list[dict[str, Any]]]:
    """For each chunk, the arguments of a Track for each channel in it, in order of channels.

    Raises:
        FileFormatError: if there are more notes than `limits` allows.
    """
    n_chunks = len(events.ends)
    used = np.zeros(16 * n_chunks, np.bool_)
    place = events.chunk * 16 + (events.status & 0x0F)
    used[place] = True
    used[[chunk * 16 + (status & 0x0F) for _, _, chunk, status, _ in events.shorts]] = True
    numbers = used.cumsum() - 1
    part = numbers[place]
    places = used.nonzero()[0].tolist()
    parts: list[dict[str, Any]] = [
        {"channel": place & 0x0F, "is_drum": place & 0x0F == smf.DRUM_CHANNEL} for place in places
    ]
    first_notes = _add_notes(parts, events, part, limits, remarks)
    _add_programs(parts, numbers, events, first_notes)
    if (events.status >= smf.KEY_PRESSURE).any() or len(events.shorts) > len(parts):
        _add_controls(parts, numbers, events, part)
    result: list[list[dict[str, Any]]] = [[] for _ in range(n_chunks)]
    for number, fields in zip(places, parts, strict=True):
        result[number >> 4].append(fields)
    return result


def _add_controls(parts: list[dict[str, Any]], numbers: Array, events: Events, part: Array) -> None:
    """Give each part its controllers, bends, and the aftertouch of its keys and of its channel."""
    kinds = events.status & 0xF0
    for kind, name in ((smf.CONTROL, "controls"), (smf.BEND, "bends")):
        index = (kinds == kind).nonzero()[0]
        index = index[part[index].argsort(kind="stable")]
        first, second = events.data1[index].astype(np.int16), events.data2[index].astype(np.int16)
        columns = [first, second] if kind == smf.CONTROL else [first + (second << 7) - 8192]
        _give(parts, name, _DTYPES[name], part[index], events.tick[index], *columns)
    keys = (kinds == smf.KEY_PRESSURE).nonzero()[0]
    rows = np.array([
        (numbers[chunk * 16 + (status & 0x0F)], order, tick, -1, value)
        for order, tick, chunk, status, value in events.shorts if status >= smf.CHANNEL_PRESSURE
    ], np.int64).reshape(-1, 5)  # fmt: skip
    of_keys = (part[keys], events.order[keys], events.tick[keys], events.data1[keys], events.data2[keys])
    rows = np.concatenate((np.stack([column.astype(np.int64) for column in of_keys], 1), rows))
    rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
    _give(parts, "pressures", PRESSURE_DTYPE, rows[:, 0], *rows[:, 2:].T)


def _give(parts: list[dict[str, Any]], name: str, dtype: np.dtype[Any], part: Array, *columns: Array) -> None:
    """Cut rows that are sorted by part."""
    if not len(part):
        return
    rows = np.empty(len(part), dtype)
    for field, column in zip(dtype.names or (), columns, strict=True):
        rows[field] = column
    rows.flags.writeable = False
    cuts = part.searchsorted(np.arange(len(parts) + 1)).tolist()
    for fields, start, stop in zip(parts, cuts[:-1], cuts[1:], strict=True):
        if start < stop:
            fields[name] = rows[start:stop]


def _add_notes(
    parts: list[dict[str, Any]], events: Events, part: Array, limits: Limits, remarks: Counter[str]
) -> Array:
    """Give each part its notes and their releases; where in the file each part's first note stands."""
    first_notes = np.full(len(parts), np.iinfo(np.int64).max)
    index = (events.status < smf.KEY_PRESSURE).nonzero()[0]
    if not len(index):
        return first_notes
    all_parts = part
    part, pitch, velocity, tick = part[index], events.data1[index], events.data2[index], events.tick[index]
    status = events.status[index]
    is_on = (status >= smf.NOTE_ON) & (velocity > 0)
    ons = is_on.nonzero()[0][::-1]  # backwards, so that the first one stays
    limits.check("notes", len(ons))
    first_notes[part[ons]] = events.order[index[ons]]
    key = part.astype(np.uint16 if len(parts) <= 512 else np.uint32) * 128 + pitch  # short numbers sort quickly
    on, off, stuck, unended, idle = pair(key, is_on, tick)
    if idle:
        remarks["note-off without a note"] += idle
    stop = tick[off]
    if stuck is not None:
        remarks["note without an end"] += unended
        stop = np.where(off == NONE, np.array(events.ends)[events.chunk[index[on]]], stop)
        _end_all_notes(stop, stuck, part[on], tick[on], events, all_parts)
        off = off[off != NONE]
    _add_releases(parts, off, part, tick, pitch, velocity, status)
    start, pitch, velocity, part = tick[on], pitch[on], velocity[on], part[on]
    place = (part << 38) | (start << 7) | pitch
    sort = place.argsort()
    ranked = place[sort]
    if (ranked[1:] == ranked[:-1]).any():
        sort = np.lexsort((velocity, stop - start, place))
    start = start[sort]
    _give(parts, "notes", NOTE_DTYPE, part[sort], start, pitch[sort], stop[sort] - start, velocity[sort])
    return first_notes


def _end_all_notes(stop: Array, stuck: Array, part: Array, start: Array, events: Events, all_parts: Array) -> None:
    """Let `stuck` notes end, in place, where their channel is told to end all."""
    told = (events.status & 0xF0 == smf.CONTROL) & ((events.data1 == ALL_SOUND_OFF) | (events.data1 == ALL_NOTES_OFF))
    for number in np.unique(all_parts[told]).tolist():
        ticks = events.tick[told & (all_parts == number)]
        notes = (stuck & (part == number)).nonzero()[0]
        following = np.append(ticks, smf.MAX_TICK)[ticks.searchsorted(start[notes], side="right")]
        stop[notes] = np.minimum(stop[notes], following)


def _add_releases(
    parts: list[dict[str, Any]], off: Array, part: Array, tick: Array, pitch: Array, velocity: Array, status: Array
) -> None:
    """Give each part what its note-offs say of the key's release."""
    released = velocity[off]
    off = off[(status[off] < smf.NOTE_ON) & (released != UNSAID_RELEASES[0]) & (released != UNSAID_RELEASES[1])]
    if len(off):
        off = off[np.lexsort((velocity[off], pitch[off], tick[off], part[off]))]
        _give(parts, "releases", RELEASE_DTYPE, part[off], tick[off], pitch[off], velocity[off])


def _add_programs(parts: list[dict[str, Any]], numbers: Array, events: Events, first_notes: Array) -> None:
    """Give each part the program it begins with and its program changes but the one at tick 0 that says it."""
    changes: dict[int, list[tuple[int, int]]] = {}
    for order, tick, chunk, status, program in events.shorts:
        if status >= smf.CHANNEL_PRESSURE:
            continue
        number = int(numbers[chunk * 16 + (status & 0x0F)])
        opens = number not in changes and order < first_notes[number]
        of_part = changes.setdefault(number, [])
        if opens:
            parts[number]["program"] = program
        if not opens or tick > 0:
            of_part.append((tick, program))
    for number, rows in changes.items():
        if rows:
            parts[number]["program_changes"] = frozen(rows, PROGRAM_DTYPE)
