"""Hypothesis strategies that several tests share."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from hypothesis import strategies as st

from musegen.score.formats.options import Limits, ReadOptions
from musegen.score.model import NOTE_DTYPE as NOTES
from musegen.score.model import (
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

UNLIMITED = ReadOptions(Limits(bars=2**40, seconds=2**40))
"""The Scores below may last for days."""
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
FREE_TEXT = TEXT.filter(lambda text: not text.startswith("chord: "))
TEMPOS = st.integers(1, 2**24 - 1)
METRES = st.tuples(st.integers(1, 24), st.sampled_from([1, 2, 4, 8, 16, 32]))
KEYS = st.tuples(st.integers(-7, 7), st.sampled_from(["major", "minor"]))
CHORDS = st.sampled_from(["C", "Dm7", "F#m7b5/C", "Bb", "N"])


def paired(notes: list[tuple[int, int, int, int]]) -> Array:
    """Notes (start, pitch, duration, velocity) such that of one pitch the first to begin is the first to end."""
    by_pitch: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
    for start, pitch, duration, velocity in notes:
        by_pitch[pitch].append((start, start + duration, velocity))
    rows = []
    for pitch, group in by_pitch.items():
        ends = sorted(end for _, end, _ in group)
        for (start, _, velocity), end in zip(sorted(group), ends, strict=True):
            rows.append((start, pitch, end - start, velocity))
    return frozen(rows, NOTES)


@st.composite
def tracks(draw: st.DrawFn, *, ticks: int, channel: int | None, is_drum: bool, max_notes: int = 12) -> Track:
    """A track whose notes begin before `ticks`, other events not after it."""
    start, time = st.integers(0, ticks), st.integers(0, ticks)
    duration = st.integers(0, ticks)
    velocity, value = st.integers(1, 127), st.integers(0, 127)
    notes = draw(st.lists(st.tuples(start, st.integers(0, 127), duration, velocity), max_size=max_notes))
    rows = paired(notes)
    return Track(
        notes=rows,
        program=draw(value),
        is_drum=is_drum,
        name=draw(TEXT),
        channel=channel,
        controls=draw(st.lists(st.tuples(time, value, value), max_size=4)),
        bends=draw(st.lists(st.tuples(time, st.integers(-8192, 8191)), max_size=3)),
        program_changes=draw(st.lists(st.tuples(time, value), max_size=2)),
        pressures=draw(st.lists(st.tuples(time, st.integers(-1, 127), value), max_size=3)),
        releases=draw(releases(rows)),
        lyrics=draw(texts(TEXT, time)),
        texts=draw(texts(TEXT, time)),
        others=draw(others(time)),
    )


@st.composite
def releases(draw: st.DrawFn, notes: Array) -> list[tuple[int, int, int]]:
    """Releases of some of the notes."""
    ends = [(start + duration, pitch) for start, pitch, duration, _ in notes.tolist()]
    chosen = draw(st.lists(st.sampled_from(range(len(ends))), unique=True, max_size=3)) if ends else []
    value = st.integers(1, 127).filter(lambda value: value != 64)
    return sorted((*ends[index], draw(value)) for index in chosen)


@st.composite
def others(draw: st.DrawFn, time: st.SearchStrategy[int]) -> tuple[MidiEvent, ...]:
    """Sysex messages and meta events that a Score has no field for."""
    payload = st.lists(st.integers(0, 127), max_size=5).map(bytes)  # of more, mido would not open the file
    sysex = st.builds(lambda status, data: status + data + b"\xf7", st.sampled_from([b"\xf0", b"\xf7"]), payload)
    metas = st.builds(lambda kind, data: bytes((0xFF, kind, 0x7D)) + data, st.sampled_from([0x02, 0x07, 0x7F]), payload)
    found = draw(st.lists(st.builds(MidiEvent, time, sysex | metas), max_size=2))
    return tuple(sorted(found, key=lambda event: event.time))


@st.composite
def texts(draw: st.DrawFn, text: st.SearchStrategy[str], time: st.SearchStrategy[int]) -> tuple[Text, ...]:
    """Texts sorted by time."""
    found = draw(st.lists(st.builds(Text, time, text), max_size=3))
    return tuple(sorted(found, key=lambda item: item.time))


@st.composite
def scores(draw: st.DrawFn, *, max_tracks: int = 3, max_notes: int = 12, channels: bool = True) -> Score:
    """Scores with everything in them that a MIDI file can hold: `read(write(score)) == score`.

    Tracks have channels of their own (None if not `channels`), drums channel 9; overlapping notes of one pitch
    end in the order in which they began.
    """
    ticks_per_beat = draw(st.sampled_from([12, 24, 96, 220, 480, 960]))
    beats = draw(st.sampled_from([1, 8, 8, 8, 32, 5000]))
    ticks = beats * ticks_per_beat
    chosen = draw(st.lists(st.integers(0, 15), unique=True, max_size=max_tracks))
    time = st.integers(0, ticks)

    def changes(values: st.SearchStrategy[Any], size: int = 3) -> list[tuple[int, Any]]:
        pairs: list[tuple[int, Any]] = draw(
            st.lists(st.tuples(time, values), max_size=size, unique_by=lambda pair: pair[0])
        )
        return pairs

    made = [
        draw(tracks(ticks=ticks, channel=channel if channels else None, is_drum=channel == 9, max_notes=max_notes))
        for channel in chosen
    ]
    return Score(
        ticks_per_beat=ticks_per_beat,
        tracks=tuple(made),
        tempos=tuple(Tempo(at, tempo) for at, tempo in changes(TEMPOS)),
        time_signatures=tuple(TimeSignature(at, *metre) for at, metre in changes(METRES)),
        key_signatures=tuple(KeySignature(at, *key) for at, key in changes(KEYS)),
        chords=tuple(Chord(at, chord) for at, chord in changes(CHORDS)),
        markers=draw(texts(TEXT, time)),
        texts=draw(texts(FREE_TEXT, time)),
        others=draw(others(time)),
        title=draw(TEXT),
        end=ticks + draw(st.integers(0, ticks)),
    )
