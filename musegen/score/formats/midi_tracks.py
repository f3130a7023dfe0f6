"""The channel messages of a MIDI file as Tracks without words: all notes of a file are paired and sorted at once."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

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
    index = (events.status < smf.KEY_PRESSURE).nonzero()[0]
    only_notes = len(index) == len(part)
    first_notes = np.full(len(parts), np.iinfo(np.int64).max)
    if len(index):
        columns = (part, events.order, events.tick, events.chunk, events.status, events.data1, events.data2)
        _add_notes(parts, _Notes(*columns if only_notes else (column[index] for column in columns)),
                   first_notes, events, part, limits, remarks)  # fmt: skip
    _add_programs(parts, numbers, events, first_notes.tolist())
    if not only_notes or len(events.shorts) > len(parts):
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
    if len(parts) == 1:
        parts[0][name] = rows
        return
    cuts = part.searchsorted(np.arange(len(parts) + 1)).tolist()
    for fields, start, stop in zip(parts, cuts[:-1], cuts[1:], strict=True):
        if start < stop:
            fields[name] = rows[start:stop]


class _Notes(NamedTuple):
    """The note-ons and note-offs of a file, as arrays of one length in file order."""

    part: Array
    order: Array
    tick: Array
    chunk: Array
    status: Array
    pitch: Array
    velocity: Array


def _add_notes(
    parts: list[dict[str, Any]],
    notes: _Notes,
    first_notes: Array,
    events: Events,
    all_parts: Array,
    limits: Limits,
    remarks: Counter[str],
) -> None:
    """Give each part its notes and their releases, and `first_notes` where in the file each part's first one stands."""
    is_on = (notes.status >= smf.NOTE_ON) & (notes.velocity > 0)
    ons = is_on.nonzero()[0][::-1]  # backwards, so that the first one stays
    limits.check("notes", len(ons))
    first_notes[notes.part[ons]] = notes.order[ons]
    short = np.uint16 if len(parts) <= 512 else np.uint32  # short numbers sort quickly
    key = notes.part.astype(short) * 128 + notes.pitch
    on, off, stuck, unended, idle = pair(key, is_on, notes.tick)
    if idle:
        remarks["note-off without a note"] += idle
    start, stop, part = notes.tick[on], notes.tick[off], notes.part[on]
    if stuck is not None:
        remarks["note without an end"] += unended
        stop = np.where(off == NONE, np.array(events.ends)[notes.chunk[on]], stop)
        _end_all_notes(stop, stuck, part, start, events, all_parts)
        off = off[off != NONE]
    _add_releases(parts, off, notes)
    pitch, velocity = notes.pitch[on], notes.velocity[on]
    place = (part << 38) | (start << 7) | pitch
    sort = place.argsort()
    ranked = place[sort]
    if (ranked[1:] == ranked[:-1]).any():
        sort = np.lexsort((velocity, stop - start, place))
    start = start[sort]
    _give(parts, "notes", NOTE_DTYPE, part[sort], start, pitch[sort], stop[sort] - start, velocity[sort])


def _end_all_notes(stop: Array, stuck: Array, part: Array, start: Array, events: Events, all_parts: Array) -> None:
    """Let `stuck` notes end, in place, where their channel is told to end all."""
    told = (events.status & 0xF0 == smf.CONTROL) & ((events.data1 == ALL_SOUND_OFF) | (events.data1 == ALL_NOTES_OFF))
    for number in np.unique(all_parts[told]).tolist():
        ticks = events.tick[told & (all_parts == number)]
        notes = (stuck & (part == number)).nonzero()[0]
        following = np.append(ticks, smf.MAX_TICK)[ticks.searchsorted(start[notes], side="right")]
        stop[notes] = np.minimum(stop[notes], following)


def _add_releases(parts: list[dict[str, Any]], off: Array, notes: _Notes) -> None:
    """Give each part what its note-offs say of the key's release."""
    released = notes.velocity[off]
    said = (notes.status[off] < smf.NOTE_ON) & (released != UNSAID_RELEASES[0]) & (released != UNSAID_RELEASES[1])
    if said.any():
        off = off[said]
        off = off[np.lexsort((notes.velocity[off], notes.pitch[off], notes.tick[off], notes.part[off]))]
        _give(parts, "releases", RELEASE_DTYPE, notes.part[off], notes.tick[off], notes.pitch[off], notes.velocity[off])


def _add_programs(parts: list[dict[str, Any]], numbers: Array, events: Events, first_notes: list[int]) -> None:
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
