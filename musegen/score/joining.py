"""Scores -> Score: several at once, or one after the other."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from musegen.errors import RequestError
from musegen.score.model import Array, Chord, KeySignature, Score, Tempo, TimeSignature, Track
from musegen.score.ops import map_times, shift
from musegen.score.timing import DEFAULT_METRE, DEFAULT_TEMPO, in_force

E = TypeVar("E", Tempo, TimeSignature, KeySignature, Chord)
MAX_TICKS_PER_BEAT = 32_767
"""The finest resolution a MIDI file can state."""


def _common_resolution(scores: Sequence[Score]) -> list[Score]:
    """The scores brought to one ticks_per_beat without rounding."""
    ticks_per_beat = math.lcm(*(score.ticks_per_beat for score in scores))
    if ticks_per_beat > MAX_TICKS_PER_BEAT:
        found = sorted({score.ticks_per_beat for score in scores})
        raise RequestError(f"no common resolution for {found} ticks a beat; quantise the pieces to one first")

    def scaled(score: Score) -> Score:
        factor = ticks_per_beat // score.ticks_per_beat
        return score if factor == 1 else map_times(score, lambda times: times * factor, ticks_per_beat)

    return [scaled(score) for score in scores]


def merge(scores: Sequence[Score]) -> Score:
    """All tracks at once. Tempi, metres, keys, chords and title come from the first score that has them.

    Raises:
        RequestError: if there is no score, or no resolution holds them all exactly.
    """
    if not scores:
        raise RequestError("nothing to merge; give one score at least")
    parts = _common_resolution(scores)
    return replace(
        parts[0],
        tracks=tuple(track for part in parts for track in part.tracks),
        tempos=next((part.tempos for part in parts if part.tempos), ()),
        time_signatures=next((part.time_signatures for part in parts if part.time_signatures), ()),
        key_signatures=next((part.key_signatures for part in parts if part.key_signatures), ()),
        chords=next((part.chords for part in parts if part.chords), ()),
        markers=tuple(marker for part in parts for marker in part.markers),
        texts=tuple(text for part in parts for text in part.texts),
        others=tuple(event for part in parts for event in part.others),
        title=next((part.title for part in parts if part.title), ""),
        end=max(part.end for part in parts),
    )


def concatenate(scores: Sequence[Score]) -> Score:
    """The scores one after the other, each from the `end` of the one before.

    Tracks of the same name, kind and channel (with neither name nor channel: of the same program) go on as
    one; others are added. At a join, tempo and metre are restated where they change; what a later score
    restates at its tick 0 though it is in force already is left out, so that the slices of a piece make the
    piece again.

    Raises:
        RequestError: if there is no score, or no resolution holds them all exactly.
    """
    if not scores:
        raise RequestError("nothing to concatenate; give one score at least")
    joined, *rest = _common_resolution(scores)
    for part in rest:
        joined = _append(joined, part)
    return joined


def _append(score: Score, later: Score) -> Score:
    join = score.end
    moved = shift(later, join)
    return replace(
        score,
        tracks=_append_tracks(score.tracks, moved.tracks, join),
        tempos=_joined(score.tempos, moved.tempos, join, DEFAULT_TEMPO),
        time_signatures=_joined(score.time_signatures, moved.time_signatures, join, DEFAULT_METRE),
        key_signatures=_joined(score.key_signatures, moved.key_signatures, join, None),
        chords=_joined(score.chords, moved.chords, join, None),
        markers=score.markers + moved.markers,
        texts=score.texts + moved.texts,
        others=score.others + moved.others,
        end=moved.end,
    )


def _joined(events: tuple[E, ...], later: tuple[E, ...], join: int, default: E | None) -> tuple[E, ...]:
    """Both lists of events; `later` begins at `join`, where `default` holds if it says nothing."""
    before = in_force(events, join) or default
    if default is not None and (not later or later[0].time > join):
        first: tuple[E, ...] = (replace(default, time=join),)
        later = first + later
    if before is not None and later and later[0] == replace(before, time=join):
        later = later[1:]
    return events + later


def _append_tracks(tracks: tuple[Track, ...], later: tuple[Track, ...], join: int) -> tuple[Track, ...]:
    """Each of `later` behind the track it continues (the nth of a kind the nth), or as a new one."""

    def keyed(items: tuple[Track, ...], program_of: Callable[[Track], int]) -> dict[object, Track]:
        seen: Counter[object] = Counter()
        result: dict[object, Track] = {}
        for track in items:
            unnamed = not track.name and track.channel is None
            kind = (track.name, track.is_drum, track.channel, program_of(track) if unnamed else None)
            seen[kind] += 1
            result[kind, seen[kind]] = track
        return result

    result = keyed(tracks, _last_program)
    for key, track in keyed(later, lambda track: track.program).items():
        result[key] = _append_track(result[key], track, join) if key in result else track
    return tuple(result.values())


def _last_program(track: Track) -> int:
    return int(track.program_changes["program"][-1]) if len(track.program_changes) else track.program


def _append_track(track: Track, later: Track, join: int) -> Track:
    changes = later.program_changes
    if later.program != _last_program(track):
        changes = np.concatenate((np.array([(join, later.program)], changes.dtype), changes))
    return replace(
        track,
        notes=np.concatenate((track.notes, later.notes)),
        controls=_join_rows(track.controls, later.controls, join, "number"),
        bends=_join_rows(track.bends, later.bends, join, None),
        program_changes=np.concatenate((track.program_changes, changes)),
        pressures=_join_rows(track.pressures, later.pressures, join, "pitch"),
        releases=np.concatenate((track.releases, later.releases)),
        lyrics=track.lyrics + later.lyrics,
        texts=track.texts + later.texts,
        others=track.others + later.others,
    )


def _join_rows(rows: Array, later: Array, join: int, key: str | None) -> Array:
    """Both arrays, without what `later` first says at `join` if it is in force already."""
    held = {int(row[key]) if key else 0: int(row["value"]) for row in rows}
    keep = np.ones(len(later), bool)
    for index in np.flatnonzero(later["time"] == join).tolist():
        number = int(later[index][key]) if key else 0
        keep[index] = held.pop(number, None) != int(later[index]["value"])
    return np.concatenate((rows, later[keep]))
