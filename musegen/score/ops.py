"""Score -> Score: cutting, transposing, quantising. Nothing changes in place.

Bars are counted from 0 and ranges of bars are half-open.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from musegen.errors import RequestError
from musegen.score.model import Array, Chord, KeySignature, MidiEvent, Score, Tempo, Text, TimeSignature, Track
from musegen.score.theory import Key, transpose_chord
from musegen.score.timing import bar_starts, in_force

E = TypeVar("E", Tempo, TimeSignature, KeySignature, Chord)
T = TypeVar("T", Tempo, TimeSignature, KeySignature, Chord, Text, MidiEvent)


# ---- time --------------------------------------------------------------------------------------------------


def map_times(score: Score, tick: Callable[[Array], Array], ticks_per_beat: int | None = None) -> Score:
    """The score with every time t at tick(t), which must never fall; notes keep both their ends."""

    def events(items: tuple[T, ...]) -> tuple[T, ...]:
        times = tick(np.array([item.time for item in items], np.int64)).tolist()
        return tuple(replace(item, time=time) for item, time in zip(items, times, strict=True))

    def rows(array: Array) -> Array:
        moved: Array = array.copy()
        moved["time"] = tick(array["time"])
        return moved

    def track(old: Track) -> Track:
        notes = old.notes.copy()
        notes["start"] = tick(old.notes["start"])
        notes["duration"] = tick(old.notes["start"] + old.notes["duration"]) - notes["start"]
        return replace(
            old, notes=notes, controls=rows(old.controls), bends=rows(old.bends),
            program_changes=rows(old.program_changes), pressures=rows(old.pressures), releases=rows(old.releases),
            lyrics=events(old.lyrics), texts=events(old.texts), others=events(old.others),
        )  # fmt: skip

    return replace(
        score,
        ticks_per_beat=ticks_per_beat or score.ticks_per_beat,
        tracks=tuple(track(old) for old in score.tracks),
        tempos=events(score.tempos),
        time_signatures=events(score.time_signatures),
        key_signatures=events(score.key_signatures),
        chords=events(score.chords),
        markers=events(score.markers),
        texts=events(score.texts),
        others=events(score.others),
        end=int(tick(np.array([score.end], np.int64))[0]),
    )


def shift(score: Score, ticks: int) -> Score:
    """The score with every event `ticks` later."""
    return map_times(score, lambda times: times + ticks)


def quantize(score: Score, steps_per_beat: int) -> Score:
    """The score on a grid of `steps_per_beat` steps a quarter.

    Onsets and ends of notes go to the nearest step, and a note lasts one step at least; tempi, metres, keys
    and texts go to the nearest step too, controllers, bends and aftertouch stay where they are. Where ticks_per_beat is
    not a multiple of `steps_per_beat`, a step falls on the tick nearest to it; a grid finer than the ticks
    changes nothing. Doing it twice is doing it once.

    Raises:
        RequestError: if `steps_per_beat` is not positive.
    """
    if steps_per_beat < 1:
        raise RequestError(f"steps_per_beat is {steps_per_beat}; it must be 1 or more")
    resolution = score.ticks_per_beat
    if steps_per_beat >= resolution:
        return score

    def step(times: Array) -> Array:
        return (2 * times * steps_per_beat + resolution) // (2 * resolution)

    def tick(steps: Array) -> Array:
        return (2 * steps * resolution + steps_per_beat) // (2 * steps_per_beat)

    def track(old: Track, snapped: Track) -> Track:
        notes = old.notes.copy()
        first = step(old.notes["start"])
        last = np.maximum(step(old.notes["start"] + old.notes["duration"]), first + 1)
        notes["start"], notes["duration"] = tick(first), tick(last) - tick(first)
        return replace(snapped, notes=notes, controls=old.controls, bends=old.bends, pressures=old.pressures)

    snapped = map_times(score, lambda times: tick(step(times)))
    return snapped.with_tracks(track(*pair) for pair in zip(score.tracks, snapped.tracks, strict=True))


# ---- cutting -----------------------------------------------------------------------------------------------


def _region(score: Score, first: int, last: int) -> tuple[int, int]:
    """The ticks at which bars `first` and `last` begin."""
    if not 0 <= first < last:
        raise RequestError(f"no such bars: {first} to {last}; the first must be 0 or more, the last greater")
    starts = bar_starts(score, last)
    return int(starts[first]), int(starts[last])


def _within(events: Sequence[T], start: int, stop: int) -> tuple[T, ...]:
    return tuple(replace(event, time=event.time - start) for event in events if start <= event.time < stop)


def _restated(events: Sequence[E], start: int, stop: int) -> tuple[E, ...]:
    """The events within, and before them the one in force at `start`."""
    before = in_force(events, start)
    inside: tuple[E, ...] = _within(events, start, stop)
    if before is None or before.time == start:
        return inside
    first: tuple[E, ...] = (replace(before, time=0),)
    return first + inside


def _rows_restated(rows: Array, start: int, stop: int, key: str | None) -> Array:
    """As `_restated`, for each value of the field `key` apart (for the whole if None)."""
    inside: Array = rows[(rows["time"] >= start) & (rows["time"] < stop)].copy()
    inside["time"] -= start
    before = rows[rows["time"] < start]
    groups = before[key] if key else np.zeros(len(before), np.int64)
    _, last = np.unique(groups[::-1], return_index=True)
    carried = before[len(before) - 1 - np.sort(last)[::-1]].copy()
    carried["time"] = 0
    at_start = inside[inside["time"] == 0]
    restated = set(at_start[key].tolist()) if key else {0} if len(at_start) else set()
    keep = [int(row[key] if key else 0) not in restated for row in carried]
    return np.concatenate((carried[np.array(keep, bool)], inside))


def _releases_of(track: Track, notes: Array) -> Array:
    """The releases of the track that belong to an end of one of `notes`."""
    rows = track.releases
    if not len(rows):
        return rows
    ends = ((notes["start"] + notes["duration"]) << 7) + notes["pitch"]
    return rows[np.isin((rows["time"] << 7) + rows["pitch"], ends)]


def _slice_track(track: Track, start: int, stop: int, event_stop: int) -> Track:
    ends = track.notes["start"] + track.notes["duration"]
    inside = (track.notes["start"] < stop) & ((ends > start) | (track.notes["start"] >= start))
    notes = track.notes[inside].copy()
    releases = _releases_of(track, notes[notes["start"] + notes["duration"] <= stop]).copy()
    releases["time"] -= start
    begins = np.maximum(notes["start"], start)
    notes["duration"] = np.minimum(notes["start"] + notes["duration"], stop) - begins
    notes["start"] = begins - start
    changes = track.program_changes
    held = changes[changes["time"] <= start]["program"]
    later = changes[(changes["time"] > start) & (changes["time"] < event_stop)].copy()
    later["time"] -= start
    return replace(
        track,
        notes=notes,
        program=int(held[-1]) if len(held) else track.program,
        program_changes=later,
        controls=_rows_restated(track.controls, start, event_stop, "number"),
        bends=_rows_restated(track.bends, start, event_stop, None),
        pressures=_rows_restated(track.pressures, start, event_stop, "pitch"),
        releases=releases,
        lyrics=_within(track.lyrics, start, event_stop),
        texts=_within(track.texts, start, event_stop),
        others=_within(track.others, start, event_stop),
    )


def slice_bars(score: Score, first: int, last: int) -> Score:
    """Bars `first` to `last` (excluded) as a piece of its own, `end` at its closing bar line.

    Notes that hold over either line are clipped. Tempo, metre, key, chord, program, controllers, bend and
    aftertouch in force are restated at 0. All tracks stay, silent ones too; bars past the end are empty.

    Raises:
        RequestError: unless 0 <= first < last.
    """
    start, stop = _region(score, first, last)
    event_stop = stop if stop < score.end else max(stop, score.end) + 1  # the very end belongs to it
    return replace(
        score,
        tracks=tuple(_slice_track(track, start, stop, event_stop) for track in score.tracks),
        tempos=_restated(score.tempos, start, event_stop),
        time_signatures=_restated(score.time_signatures, start, event_stop),
        key_signatures=_restated(score.key_signatures, start, event_stop),
        chords=_restated(score.chords, start, event_stop),
        markers=_within(score.markers, start, event_stop),
        texts=_within(score.texts, start, event_stop),
        others=_within(score.others, start, event_stop),
        end=stop - start,
    )


def blank_region(score: Score, first: int, last: int) -> Score:
    """The score with bars `first` to `last` (excluded) silent.

    Notes and lyrics that begin there are taken out, notes that hold into it end at its first bar line;
    everything else stays, `end` too.

    Raises:
        RequestError: unless 0 <= first < last.
    """
    start, stop = _region(score, first, last)

    def blanked(track: Track) -> Track:
        begins = track.notes["start"]
        notes = track.notes[(begins < start) | (begins >= stop)].copy()
        held = notes["start"] < start
        notes["duration"][held] = np.minimum(notes["duration"], start - notes["start"])[held]
        lyrics = tuple(lyric for lyric in track.lyrics if not start <= lyric.time < stop)
        return replace(track, notes=notes, releases=_releases_of(track, notes), lyrics=lyrics)

    return score.with_tracks(blanked(track) for track in score.tracks)


# ---- pitch -------------------------------------------------------------------------------------------------


def transpose(score: Score, semitones: int) -> Score:
    """The score `semitones` higher, keys and chord symbols with it; drums stay.

    Raises:
        RequestError: if a note would leave MIDI's range of 0 to 127.
    """
    if semitones == 0:
        return score
    pitched = [track.notes["pitch"] for track in score.tracks if not track.is_drum and len(track.notes)]
    down = min((int(pitches.min()) for pitches in pitched), default=127)
    up = 127 - max((int(pitches.max()) for pitches in pitched), default=0)
    if not -down <= semitones <= up:
        raise RequestError(f"cannot transpose by {semitones} semitones; this piece allows {-down} to {up}")

    def moved(rows: Array) -> Array:
        keyed = rows["pitch"] >= 0
        pitches = rows["pitch"] + semitones * keyed
        moved_rows: Array = rows.copy()
        moved_rows["pitch"] = pitches
        # Of keys that no note strikes, some would leave the keyboard.
        kept: Array = moved_rows[~keyed | ((pitches >= 0) & (pitches < 128))]
        return kept

    def transposed(track: Track) -> Track:
        if track.is_drum:
            return track
        notes = track.notes.copy()
        notes["pitch"] += semitones
        return replace(track, notes=notes, releases=moved(track.releases), pressures=moved(track.pressures))

    def key(old: KeySignature) -> KeySignature:
        return Key.from_signature(old).transposed(semitones).signature(old.time)

    keys = tuple(key(old) for old in score.key_signatures)

    def chord(old: Chord) -> Chord:
        signature = in_force(keys, old.time)
        flats = signature is not None and signature.fifths < 0
        return replace(old, symbol=transpose_chord(old.symbol, semitones, flats=flats))

    return replace(
        score,
        tracks=tuple(transposed(track) for track in score.tracks),
        key_signatures=keys,
        chords=tuple(chord(old) for old in score.chords),
    )
