"""Scores as JSON (.json): nothing is lost, people can read it, and a note is a line.

A document is an object with "format", "version" and the fields of a Score by their names. Events are rows:
tempos [time, microseconds a quarter], time_signatures [time, numerator, denominator] (and after it the two
metronome numbers, unless they are the usual 0 and 8), key_signatures [time, fifths, mode], chords, markers, texts
and lyrics [time, text], others [time, hexadecimal bytes]; in a track, notes [start, pitch, duration, velocity] and
the other rows as in the model. What is empty or as it is by default is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import fields
from itertools import chain
from typing import Any

import numpy as np

from musegen.errors import FileFormatError
from musegen.score.formats.options import Limits, ReadOptions, WriteOptions
from musegen.score.model import (
    BEND_DTYPE,
    CONTROL_DTYPE,
    NOTE_DTYPE,
    PRESSURE_DTYPE,
    PROGRAM_DTYPE,
    RELEASE_DTYPE,
    Array,
    Chord,
    KeySignature,
    MidiEvent,
    Score,
    Tempo,
    Text,
    TimeSignature,
    Track,
    frozen,
)

FORMAT = "musegen score"
VERSION = 1
LAST_TICK = 2**31 - 1

_TIME = (0, LAST_TICK)
_DATA = (0, 127)
_RANGES: dict[str, tuple[int, int]] = {
    "time": _TIME, "start": _TIME, "duration": _TIME, "end": _TIME, "pitch": _DATA, "velocity": (1, 127),
    "number": _DATA, "value": _DATA, "program": _DATA, "channel": (0, 15), "version": (1, LAST_TICK),
    "ticks_per_beat": (1, LAST_TICK), "microseconds_per_quarter": (1, 2**24 - 1), "fifths": (-7, 7),
    "numerator": (1, 255), "denominator": (1, 2**16), "clocks_per_click": (0, 255), "thirty_seconds": (0, 255),
}  # fmt: skip
_OWN_RANGES = {("bends", "value"): (-8192, 8191), ("pressures", "pitch"): (-1, 127)}
_ROWS = {
    "notes": NOTE_DTYPE, "controls": CONTROL_DTYPE, "bends": BEND_DTYPE, "program_changes": PROGRAM_DTYPE,
    "pressures": PRESSURE_DTYPE, "releases": RELEASE_DTYPE,
}  # fmt: skip
_FRAME: dict[str, type[Any]] = {
    "tempos": Tempo, "time_signatures": TimeSignature, "key_signatures": KeySignature, "chords": Chord,
    "markers": Text, "texts": Text, "others": MidiEvent,
}  # fmt: skip
_TRACK_EVENTS: dict[str, type[Any]] = {"lyrics": Text, "texts": Text, "others": MidiEvent}
_SURROGATE = re.compile("[\ud800-\udfff]")
_EVENT_BYTES = re.compile("(f0|f7|ff[0-9a-f]{2})([0-9a-f]{2})*")


# ---- writing -----------------------------------------------------------------------------------------------


def to_bytes(
    score: Score,
    options: WriteOptions,  # noqa: ARG001  # every format takes both
    warn: Callable[[str], None] = lambda _: None,  # noqa: ARG001
) -> bytes:
    """The Score as UTF-8, the same bytes for equal Scores, a newline at the end.

    Raises:
        FileFormatError: if the Score holds what no reader would take (a pitch of 200, half a character).
    """
    _check(score)
    head = {"format": FORMAT, "version": VERSION, "ticks_per_beat": score.ticks_per_beat, "end": score.end}
    items = [f'"{name}": {_text(value)}' for name, value in head.items()]
    if score.title:
        items.append(f'"title": {_text(score.title)}')
    items += _tables({name: getattr(score, name) for name in _FRAME})
    tracks = ",\n".join(_track_text(track) for track in score.tracks)
    items.append(f'"tracks": [\n{tracks}\n]' if tracks else '"tracks": []')
    return ("{\n" + ",\n".join(items) + "\n}\n").encode()


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _track_text(track: Track) -> str:
    default = Track()
    scalars = ("name", "program", "is_drum", "channel")
    items = [
        f'"{name}": {_text(getattr(track, name))}' for name in scalars if getattr(track, name) != getattr(default, name)
    ]
    items += _tables({name: getattr(track, name) for name in (*_ROWS, *_TRACK_EVENTS)})
    return "{" + ",\n".join(items) + "}"


def _tables(tables: dict[str, Any]) -> Iterator[str]:
    """One item of an object for each table that has rows, a row a line."""
    for name, table in tables.items():
        if isinstance(table, np.ndarray):
            rows = json.dumps(table.tolist(), separators=(",", ":"))[1:-1].replace("],[", "],\n[")
        else:
            rows = ",\n".join(_text(_row(event)) for event in table)
        if rows:
            yield f'"{name}": [\n{rows}\n]'


def _row(event: Any) -> list[Any]:
    if isinstance(event, MidiEvent):
        return [event.time, event.data.hex()]
    values = [getattr(event, column.name) for column in fields(event)]
    values = [value.item() if isinstance(value, np.generic) else value for value in values]
    usual = isinstance(event, TimeSignature) and (event.clocks_per_click, event.thirty_seconds) == (0, 8)
    return values[:3] if usual else values


def _check(score: Score) -> None:
    """Refuse a Score that `from_bytes` would refuse."""
    _number("ticks_per_beat", score.ticks_per_beat, "ticks_per_beat")
    _number("end", score.end, "end")
    _string(score.title, "title")
    for name, kind in _FRAME.items():
        _events([_row(event) for event in getattr(score, name)], name, name, kind)
    for index, track in enumerate(score.tracks):
        where = f"tracks[{index}]"
        _string(track.name, f"{where}.name")
        _number("program", track.program, f"{where}.program")
        if track.channel is not None:
            _number("channel", track.channel, f"{where}.channel")
        for name in _ROWS:
            _check_columns(getattr(track, name), name, f"{where}.{name}")
        for name, kind in _TRACK_EVENTS.items():
            _events([_row(event) for event in getattr(track, name)], name, f"{where}.{name}", kind)


# ---- reading -----------------------------------------------------------------------------------------------


def from_bytes(data: bytes, warn: Callable[[str], None], options: ReadOptions) -> Score:
    """Read a document; fields that this version does not know are left out and named to `warn`.

    Raises:
        FileFormatError: if it is no such document or too much, saying where.
    """
    return from_document(load(data, options.limits), warn, options.limits)


def load(data: bytes, limits: Limits) -> Any:
    """Parse JSON that may be hostile: no NaN, no duplicate keys, no more brackets and strings than `limits.events`.

    Raises:
        FileFormatError: saying what is wrong.
    """
    limits.check("bytes", len(data))
    limits.check("events", data.count(b"[") + data.count(b"{") + data.count(b'"') // 2)  # what costs memory
    try:
        text = data.decode("utf-8-sig")
        return json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise FileFormatError(f"not JSON in UTF-8: byte {error.start} is none of a character") from None
    except json.JSONDecodeError as error:
        raise FileFormatError(f"not JSON: {error.msg} in line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise FileFormatError("not a musegen score: objects in objects without end") from None
    except ValueError:  # Python refuses to convert it
        raise FileFormatError("not a musegen score: a number of thousands of digits") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise FileFormatError(f"the key {_shown(twice)} stands twice in one object; leave one")
    return result


def _no_constant(name: str) -> Any:
    raise FileFormatError(f"{name} is no number of JSON; write a whole number")


def from_document(document: Any, warn: Callable[[str], None], limits: Limits) -> Score:
    """The Score of a parsed document.

    Raises:
        FileFormatError: as `from_bytes`.
    """
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise FileFormatError(f'not a musegen score: it has no "format": "{FORMAT}"')
    if _number("version", document.get("version"), "version") != VERSION:
        raise FileFormatError(f"version is {document['version']}, this musegen reads {VERSION}; take a newer musegen")
    unknown = [name for name in document if name not in _KNOWN]
    tracks = document.get("tracks", [])
    if not isinstance(tracks, list):
        raise FileFormatError(f"tracks: {_shown(tracks)} is no list of tracks")
    limits.check("tracks", len(tracks))
    for index, track in enumerate(tracks):
        if not isinstance(track, dict):
            raise FileFormatError(f"tracks[{index}]: {_shown(track)} is no track; write an object")
        unknown += [f"tracks[{index}].{name}" for name in track if name not in _KNOWN_IN_TRACK]
    notes = [track["notes"] for track in tracks if isinstance(track.get("notes"), list)]
    limits.check("notes", sum(map(len, notes)))
    if unknown:
        names = ", ".join(name[:40] for name in unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        warn(f"{len(unknown)} unknown field(s) left out: {json.dumps(names)}")
    score = Score(
        ticks_per_beat=_number("ticks_per_beat", document.get("ticks_per_beat"), "ticks_per_beat"),
        tracks=tuple(_track(track, f"tracks[{index}]") for index, track in enumerate(tracks)),
        title=_string(document.get("title", ""), "title"),
        end=_number("end", document.get("end", 0), "end"),
        **{name: _events(document.get(name, []), name, name, kind) for name, kind in _FRAME.items()},
    )
    limits.check_length(score)
    return score


_KNOWN = {"format", "version", *(column.name for column in fields(Score))}
_KNOWN_IN_TRACK = {column.name for column in fields(Track)}


def _track(track: dict[str, Any], where: str) -> Track:
    is_drum = track.get("is_drum", False)
    if not isinstance(is_drum, bool):
        raise FileFormatError(f"{where}.is_drum: {_shown(is_drum)} is neither true nor false")
    channel = track.get("channel")
    tables: dict[str, Any] = {name: _array(track.get(name, []), name, f"{where}.{name}") for name in _ROWS}
    for name, kind in _TRACK_EVENTS.items():
        tables[name] = _events(track.get(name, []), name, f"{where}.{name}", kind)
    return Track(
        program=_number("program", track.get("program", 0), f"{where}.program"),
        is_drum=is_drum,
        name=_string(track.get("name", ""), f"{where}.name"),
        channel=None if channel is None else _number("channel", channel, f"{where}.channel"),
        **tables,
    )


def _events(rows: Any, table: str, where: str, kind: type[Any]) -> tuple[Any, ...]:
    """Rows as events of the class `kind`."""
    names = [column.name for column in fields(kind)]
    events = []
    for index, row in enumerate(_list(rows, where)):
        place = f"{where}[{index}]"
        if not isinstance(row, list) or len(row) not in {len(names), min(3, len(names))}:
            raise FileFormatError(f"{place}: {_shown(row)} is not [{', '.join(names)}]")
        values: list[Any] = []
        for name, value in zip(names, row, strict=False):
            values.append(_cell(table, name, value, f"{place}: {name}"))
        events.append(kind(*values))
    return tuple(events)


def _cell(table: str, name: str, value: Any, where: str) -> Any:
    """One checked value of an event."""
    if name in _RANGES:
        number = _number(name, value, where, table)
        if name == "denominator" and number & (number - 1):
            raise FileFormatError(f"{where} {number} is no power of two")
        return number
    text = _string(value, where)
    if name == "mode" and text not in {"major", "minor"}:
        raise FileFormatError(f"{where} {_shown(text)} is neither major nor minor")
    if name != "data":
        return text
    if not _EVENT_BYTES.fullmatch(text):
        raise FileFormatError(f"{where} {_shown(text)} is not hexadecimal bytes, the first f0, f7 or ff and a kind")
    return bytes.fromhex(text)


def _array(rows: Any, table: str, where: str) -> Array:
    """Rows of whole numbers as an array of the table's dtype."""
    dtype = _ROWS[table]
    names = dtype.names or ()
    rows = _list(rows, where)
    whole = set(map(type, rows)) <= {list} and set(map(len, rows)) <= {len(names)}
    if not whole or not set(map(type, chain.from_iterable(rows))) <= {int}:
        _name_fault(rows, table, where)
    try:
        numbers = np.array(rows, np.int64).reshape(-1, len(names))
    except OverflowError:
        _name_fault(rows, table, where)
    columns = dict(zip(names, numbers.T, strict=True))
    _check_columns(columns, table, where)
    result = np.empty(len(rows), dtype)
    for name, column in columns.items():
        result[name] = column
    return frozen(result, dtype)


def _check_columns(columns: Any, table: str, where: str) -> None:
    """Refuse numbers out of range, and notes that end after the last tick."""
    for name in _ROWS[table].names or ():
        low, high = _OWN_RANGES.get((table, name), _RANGES[name])
        bad = np.flatnonzero((columns[name] < low) | (columns[name] > high))
        if len(bad):
            _number(name, int(columns[name][bad[0]]), f"{where}[{bad[0]}]: {name}", table)
    if table == "notes":
        late = np.flatnonzero(columns["start"] + columns["duration"] > LAST_TICK)
        if len(late):
            raise FileFormatError(f"{where}[{late[0]}]: ends after the last tick, {LAST_TICK}")


def _name_fault(rows: list[Any], table: str, where: str) -> None:
    """Raise for the first row that is not whole numbers in range."""
    names = _ROWS[table].names or ()
    for index, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(names):
            raise FileFormatError(f"{where}[{index}]: {_shown(row)} is not [{', '.join(names)}]")
        for name, value in zip(names, row, strict=True):
            _number(name, value, f"{where}[{index}]: {name}", table)
    raise AssertionError("every row is well")


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise FileFormatError(f"{where}: {_shown(value)} is no list of rows")
    return value


def _number(name: str, value: Any, where: str, table: str = "") -> int:
    low, high = _OWN_RANGES.get((table, name), _RANGES[name])
    if type(value) is not int:  # not isinstance: True is no number here
        raise FileFormatError(f"{where} {_shown(value)} is no whole number")
    if not low <= value <= high:
        raise FileFormatError(f"{where} {_shown(value)} is out of range {low}..{high}")
    return value


def _string(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise FileFormatError(f"{where} {_shown(value)} is no text; write it in quotes")
    half = _SURROGATE.search(value)
    if half:
        raise FileFormatError(f"{where} holds half a character (a lone surrogate) at {half.start()}; remove it")
    return value


def _shown(value: Any) -> str:
    """A value in a message: short, in one line."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**20:
        return "of more than 20 digits"
    if isinstance(value, list | dict):
        return f"a list of {len(value)}" if isinstance(value, list) else "an object"
    text = json.dumps(value)
    return text if len(text) <= 40 else text[:40] + "..."
