"""miditoolkit, pretty_midi and music21, there and back."""

import io
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import miditoolkit
import numpy as np
import pretty_midi
import pytest
import symusic
from hypothesis import given, settings

from musegen.errors import FileFormatError
from musegen.score.formats.midi import from_bytes, from_miditoolkit, to_bytes, to_miditoolkit
from musegen.score.formats.music21_bridge import from_music21, to_music21
from musegen.score.formats.pretty import from_pretty_midi, to_pretty_midi
from musegen.score.formats.symusic_bridge import from_symusic, to_symusic
from musegen.score.model import (
    BEND_DTYPE,
    CONTROL_DTYPE,
    NOTE_DTYPE,
    PROGRAM_DTYPE,
    Chord,
    KeySignature,
    Score,
    Tempo,
    Text,
    TimeSignature,
    Track,
    frozen,
)
from tests.strategies import scores

PIECE = Score(
    480,
    (
        Track(
            frozen([(0, 62, 480, 80), (480, 66, 160, 70), (640, 69, 160, 71), (800, 71, 320, 72)], NOTE_DTYPE),
            program=40,
            name="Violin",
            controls=frozen([(0, 64, 127), (900, 64, 0)], CONTROL_DTYPE),
            bends=frozen([(10, -100), (20, 0)], BEND_DTYPE),
            lyrics=(Text(480, "la"),),
        ),
        Track(frozen([(0, 36, 120, 100), (480, 38, 120, 90)], NOTE_DTYPE), is_drum=True, name="Kit"),
    ),
    tempos=(Tempo(0, 483_871), Tempo(600, 333_333)),
    time_signatures=(TimeSignature(0, 6, 8), TimeSignature(720, 2, 4)),
    key_signatures=(KeySignature(0, 2, "major"), KeySignature(720, -1, "minor")),
    chords=(Chord(0, "D"), Chord(720, "Dm")),
    markers=(Text(0, "Begin"),),
    title="A piece",
)
TWO_PROGRAMS = Track(
    frozen([(0, 60, 10, 64), (100, 61, 10, 64), (200, 62, 10, 64)], NOTE_DTYPE),
    program=1,
    program_changes=frozen([(100, 2), (200, 1)], PROGRAM_DTYPE),
)


def bare(score: Score, **changes: Any) -> Score:
    """Without what no bridge keeps."""
    tracks = tuple(
        replace(track, channel=None, lyrics=(), texts=(), others=(), program_changes=[], pressures=[], releases=[])
        for track in score.tracks
    )
    return replace(score, tracks=tracks, title="", chords=(), texts=(), markers=(), others=(), end=0, **changes)


def one_program(score: Score) -> Score:
    return score.with_tracks(replace(t, program_changes=frozen([], PROGRAM_DTYPE)) for t in score.tracks)


# ---- miditoolkit ---------------------------------------------------------------------------------------------


@given(scores(max_tracks=2, max_notes=6))
def test_miditoolkit_objects_give_the_score_again(score: Score) -> None:
    score = one_program(score)
    again = from_miditoolkit(to_miditoolkit(score))
    tracks = again.tracks[: len(score.tracks)]
    assert bare(again.with_tracks(tracks)) == bare(score)
    lyrics = [lyric for track in again.tracks for lyric in track.lyrics]
    assert sorted(lyric.text for lyric in lyrics) == sorted(x.text for t in score.tracks for x in t.lyrics)
    assert (again.markers, again.end) == (score.markers, score.end)


def test_miditoolkit_reads_our_files_as_we_do() -> None:
    midi = miditoolkit.MidiFile(file=io.BytesIO(to_bytes(PIECE)))
    ours = to_miditoolkit(from_bytes(to_bytes(PIECE), pytest.fail))
    assert [i.notes for i in midi.instruments] == [i.notes for i in ours.instruments]
    assert midi.tempo_changes == ours.tempo_changes
    assert midi.time_signature_changes == ours.time_signature_changes
    assert [k.key_number for k in midi.key_signature_changes] == [k.key_number for k in ours.key_signature_changes]
    assert [i.control_changes for i in midi.instruments] == [i.control_changes for i in ours.instruments]
    assert midi.max_tick == ours.max_tick


@pytest.mark.parametrize("bridge", [to_miditoolkit, to_pretty_midi])
def test_a_track_of_two_programs_becomes_two_instruments(bridge: Callable[[Score], Any]) -> None:
    instruments = bridge(Score(480, (TWO_PROGRAMS,))).instruments
    assert [(i.program, [n.pitch for n in i.notes]) for i in instruments] == [(1, [60, 62]), (2, [61])]


# ---- symusic --------------------------------------------------------------------------------------------------


@given(scores(max_tracks=2, max_notes=6))
def test_symusic_objects_give_the_score_again(score: Score) -> None:
    score = one_program(score)
    again = from_symusic(to_symusic(score))
    assert bare(again) == bare(score)
    assert again.markers == score.markers
    assert [track.lyrics for track in again.tracks] == [track.lyrics for track in score.tracks]


def test_symusic_reads_our_files_as_we_do() -> None:
    theirs = from_symusic(symusic.Score.from_midi(to_bytes(PIECE)))
    theirs = theirs.with_tracks(track for track in theirs.tracks if len(track.notes))  # a lyric makes an empty one
    assert bare(theirs) == bare(from_bytes(to_bytes(PIECE), pytest.fail))


# ---- pretty_midi ---------------------------------------------------------------------------------------------


@settings(max_examples=50)
@given(scores(max_tracks=2, max_notes=6))
def test_seconds_become_the_same_ticks_again(score: Score) -> None:
    score = one_program(score)
    again = from_pretty_midi(to_pretty_midi(score))
    tracks = again.tracks[: len(score.tracks)]
    tempos = score.tempos if score.tempos and score.tempos[0].time == 0 else (Tempo(0, 500_000), *score.tempos)
    assert bare(again.with_tracks(tracks), key_signatures=()) == bare(score, tempos=tempos, key_signatures=())
    assert again.texts == score.texts
    spelt = [((k.fifths * 7 + 9 * (k.mode == "minor")) % 12, k.mode) for k in score.key_signatures]
    assert [((k.fifths * 7 + 9 * (k.mode == "minor")) % 12, k.mode) for k in again.key_signatures] == spelt


def test_pretty_midi_hears_the_same_times() -> None:
    theirs = pretty_midi.PrettyMIDI(io.BytesIO(to_bytes(PIECE)))
    ours = to_pretty_midi(PIECE)
    for read, made in zip(theirs.instruments, ours.instruments, strict=True):
        assert (read.program, read.is_drum, read.name) == (made.program, made.is_drum, made.name)
        assert [n.pitch for n in read.notes] == [n.pitch for n in made.notes]
        assert np.allclose([[n.start, n.end] for n in read.notes], [[n.start, n.end] for n in made.notes])
    buffer = io.BytesIO()
    ours.write(buffer)
    assert from_bytes(buffer.getvalue(), pytest.fail).n_notes == PIECE.n_notes
    assert ours.time_to_tick(ours.instruments[0].notes[-1].end) == 1120


def test_a_piece_too_long_for_pretty_midi_is_refused() -> None:
    with pytest.raises(FileFormatError, match="takes no more than 10000000"):
        to_pretty_midi(Score(end=10_000_001))


# ---- music21 -------------------------------------------------------------------------------------------------


def test_music21_gives_the_piece_again() -> None:
    again = from_music21(to_music21(PIECE))
    assert again == PIECE


@settings(max_examples=25)
@given(scores(max_tracks=2, max_notes=4))
def test_music21_gives_the_score_again(score: Score) -> None:
    stream = to_music21(score)
    assert len(stream.flatten().notes) == score.n_notes
    again = from_music21(stream, ticks_per_beat=score.ticks_per_beat, warn=pytest.fail)
    metres = tuple(TimeSignature(m.time, m.numerator, m.denominator) for m in score.time_signatures)
    assert again == replace(score, time_signatures=metres, tracks=score.tracks or (Track(),))


def test_what_music21_has_no_place_for_keeps_its_time_in_another_resolution() -> None:
    again = from_music21(to_music21(PIECE), ticks_per_beat=960)
    assert again.tracks[0].controls["time"].tolist() == [0, 1800]
    assert (again.end, again.tracks[0].lyrics) == (2 * PIECE.end, (Text(960, "la"),))


def test_music21_streams_are_read_whole() -> None:
    from music21 import chord, harmony, note, stream, tie

    first, second = stream.Measure(number=1), stream.Measure(number=2)
    first.append(note.Rest(quarterLength=3))
    first.append(note.Note("C4", quarterLength=1))
    second.append(note.Note("C4", quarterLength=Fraction(1, 3)))
    second.append(chord.Chord(["E4", "G4"], quarterLength=1))
    second.append(harmony.ChordSymbol("Am"))
    first.notes[0].tie = tie.Tie("start")
    second.notes[0].tie = tie.Tie("stop")
    part = stream.Part()
    part.append([first, second])
    score = from_music21(part)
    assert score.ticks_per_beat == 480
    assert score.tracks[0].notes.tolist() == [
        (1440, 60, 640, 80),
        (2080, 64, 480, 80),
        (2080, 67, 480, 80),
    ]
    assert score.chords == (Chord(2560, "Am"),)


def test_music21_writes_it_as_musicxml() -> None:
    from music21.musicxml.m21ToXml import GeneralObjectExporter

    text = GeneralObjectExporter(to_music21(PIECE)).parse().decode()
    assert "<work-title>A piece</work-title>" in text or "<movement-title>A piece</movement-title>" in text
    assert "<part-name>Violin</part-name>" in text
    assert text.count("<measure ") >= 2
