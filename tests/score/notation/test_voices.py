from __future__ import annotations

from collections import defaultdict
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from musegen.score.notation.voices import MAX_VOICES, Chord, voices_of


def voices(*notes: tuple[int, int, int]) -> list[list[Chord]]:
    """Voices of (start, stop, pitch)."""
    return voices_of(*map(list, zip(*notes, strict=True)))


def test_notes_of_one_start_and_end_are_a_chord() -> None:
    assert voices((0, 4, 60), (0, 4, 64), (4, 8, 62)) == [[Chord(0, 4, (0, 1)), Chord(4, 8, (2,))]]


def test_the_higher_of_two_lines_is_the_first_voice() -> None:
    upper, lower = voices((0, 4, 60), (4, 8, 59), (0, 8, 72))
    assert [chord.notes for chord in upper] == [(2,)]
    assert [chord.notes for chord in lower] == [(0,), (1,)]


def test_a_line_goes_on_in_its_voice_though_a_nearer_one_is_free() -> None:
    # The upper line pauses after its first note; the lower one goes on below it.
    upper, lower = voices((0, 4, 80), (0, 6, 50), (6, 8, 52), (7, 9, 81))
    assert [chord.notes for chord in upper] == [(0,), (3,)]
    assert [chord.notes for chord in lower] == [(1,), (2,)]


def test_a_pitch_twice_at_once_stands_in_two_voices() -> None:
    assert voices((0, 4, 60), (0, 4, 60)) == [[Chord(0, 4, (0,))], [Chord(0, 4, (1,))]]


def test_without_overlap_there_is_one_voice() -> None:
    assert len(voices((0, 4, 60), (4, 8, 40), (8, 12, 90))) == 1
    assert voices_of([], [], []) == [[]]


def test_notes_without_length_are_left_to_the_caller() -> None:
    assert voices((0, 0, 60), (0, 4, 62)) == [[Chord(0, 4, (1,))]]


@given(st.lists(st.tuples(st.integers(0, 24), st.integers(1, 24), st.integers(0, 127)), min_size=1, max_size=40))
@settings(max_examples=200)
def test_every_note_sounds_from_its_start_to_its_stop(notes: list[tuple[int, int, int]]) -> None:
    found = voices(*((start, start + length, pitch) for start, length, pitch in notes))
    assert len(found) <= MAX_VOICES
    sounding: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for voice in found:
        for before, after in pairwise(voice):
            assert before.stop <= after.start, "a voice overlaps itself"
        for chord in voice:
            for note in chord.notes:
                sounding[note].append((chord.start, chord.stop))
    for number, (start, length, _) in enumerate(notes):
        pieces = sorted(sounding[number])
        assert pieces[0][0] == start and pieces[-1][1] == start + length
        assert all(before[1] == after[0] for before, after in pairwise(pieces))
