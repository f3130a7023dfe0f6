from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musegen import roll
from musegen.errors import RequestError
from musegen.roll import OFF, ONSET, SUSTAIN, States
from musegen.score import timing
from musegen.score.model import NOTE_DTYPE, Array, KeySignature, Score, Tempo, TimeSignature, Track, frozen

PARTS = 3
METRES = st.sampled_from([(4, 4), (3, 4), (6, 8), (2, 4), (5, 8), (7, 16), (1, 4)])


@st.composite
def pieces(draw: st.DrawFn) -> Score:
    """Some tracks of notes anywhere, off the grid and outside of the roll too, in changing metres."""
    a_beat = draw(st.sampled_from([24, 96, 480, 220]))
    time = st.integers(0, 12 * a_beat)
    rows = st.tuples(time, st.integers(0, 127), st.integers(0, 5 * a_beat), st.just(80))
    tracks = [Track(frozen(draw(st.lists(rows, max_size=12)), NOTE_DTYPE)) for _ in range(draw(st.integers(0, 5)))]
    metres = [TimeSignature(0, *draw(METRES)), TimeSignature(draw(time), *draw(METRES))]
    return Score(a_beat, tuple(tracks), time_signatures=tuple(metres))


@st.composite
def any_states(draw: st.DrawFn, n_bars: int = 2) -> States:
    """Cells of a few bars of 4/4 in any state, in a narrow band so that they meet."""
    seed, share = draw(st.integers(0, 2**32 - 1)), draw(st.sampled_from([0.05, 0.3, 0.7]))
    rng = np.random.default_rng(seed)
    states = np.zeros((PARTS, 16 * n_bars, roll.N_PITCHES), np.uint8)
    low = draw(st.integers(0, roll.N_PITCHES - 6))
    drawn = rng.integers(1, 3, (PARTS, 16 * n_bars, 6)) * (rng.random((PARTS, 16 * n_bars, 6)) < share)
    states[:, :, low : low + 6] = drawn
    return states


def piece(*tracks: list[tuple[int, int, int]], metres: list[tuple[int, int, int]] | None = None) -> Score:
    """Tracks of (start, pitch, duration) in sixteenths, which are 120 ticks; metres (tick, numerator, denominator)."""
    made = [Track(frozen([(120 * s, p, 120 * d, 80) for s, p, d in rows], NOTE_DTYPE)) for rows in tracks]
    return Score(480, tuple(made), time_signatures=tuple(TimeSignature(*metre) for metre in metres or []))


def rows(notes: Array) -> list[tuple[int, int, int, int]]:
    """(part, step, pitch, length) of each note."""
    return [tuple(note) for note in notes.tolist()]


def orphans(states: States) -> int:
    """Sustains behind neither an onset nor a sustain."""
    before = np.concatenate((np.zeros_like(states[:, :1]), states[:, :-1]), axis=1)
    return int(((states == SUSTAIN) & (before == OFF)).sum())


@settings(max_examples=40)
@given(pieces())
def test_a_rasterised_piece_has_the_notes_that_were_placed(score: Score) -> None:
    placed = roll.place(score, PARTS)
    states = roll.rasterise(placed.notes, 0, int(placed.starts[-1]), PARTS)
    assert np.array_equal(roll.notes_of(states), placed.notes)
    assert np.array_equal(roll.mended(states), states)
    assert orphans(states) == 0


def simply_placed(score: Score, n_parts: int) -> list[tuple[int, int, int, int]]:
    """As roll.place, note by note."""
    lines = timing.bar_starts(score).tolist()
    starts = [0]
    for length in np.diff(lines).tolist():
        starts.append(starts[-1] + max(1, round(Fraction(4 * length, score.ticks_per_beat))))

    def step_of(tick: int) -> int:
        bar = min(sum(line <= tick for line in lines), len(lines) - 1) - 1
        within = round(Fraction(4 * (tick - lines[bar]), score.ticks_per_beat))
        return int(min(starts[bar + 1], starts[bar] + within))

    ends: dict[tuple[int, int, int], int] = {}
    for part, track in enumerate(track for track in score.tracks if len(track.notes)):
        for start, pitch, duration, _ in track.notes.tolist():
            step = min(step_of(start), starts[-1] - 1)
            held = pitch + 12 * max(0, -(-(24 - pitch) // 12)) - 12 * max(0, -(-(pitch - 107) // 12))
            name = min(part, n_parts - 1), held, step
            ends[name] = max(ends.get(name, 0), step + 1, step_of(start + duration))
    found = []
    for (part, pitch, step), end in ends.items():
        later = [other[2] for other in ends if other[:2] == (part, pitch) and other[2] > step]
        found.append((part, step, pitch, min([end, *later]) - step))
    return sorted(found)


@settings(max_examples=40)
@given(pieces())
def test_notes_are_placed_as_one_by_one(score: Score) -> None:
    assert rows(roll.place(score, PARTS).notes) == simply_placed(score, PARTS)


@settings(max_examples=40)
@given(any_states())
def test_a_piece_of_cells_has_these_cells(drawn: States) -> None:
    states = roll.mended(drawn)
    score = roll.to_score(states, (4, 4), [0, 40, 73])
    assert [track.program for track in score.tracks] == [0, 40, 73]
    placed = roll.place(score, PARTS, tracks=range(PARTS), n_bars=2)
    assert placed.starts.tolist() == [0, 16, 32]
    assert np.array_equal(roll.rasterise(placed.notes, 0, 32, PARTS), states)


@settings(max_examples=40)
@given(any_states())
def test_mended_cells_are_music(drawn: States) -> None:
    states = roll.mended(drawn)
    assert orphans(states) == 0
    assert np.array_equal(roll.mended(states), states)
    assert np.array_equal(states == ONSET, drawn == ONSET)
    kept = (drawn == SUSTAIN) & (states == SUSTAIN)
    added = (states == SUSTAIN) & (drawn == OFF)
    assert np.array_equal(kept | added, states == SUSTAIN)
    assert ((drawn[:, 2:] == SUSTAIN) | ~added[:, 1:-1]).all()  # only gaps before a sustain are closed
    assert not added[:, -1:].any() and not added[:, :1].any()


def test_a_gap_of_one_step_is_closed_and_a_longer_one_is_not() -> None:
    line = np.zeros((1, 12, roll.N_PITCHES), np.uint8)
    line[0, :, 40] = [SUSTAIN, OFF, SUSTAIN, ONSET, OFF, SUSTAIN, OFF, OFF, SUSTAIN, ONSET, OFF, ONSET]
    after = [OFF, OFF, OFF, ONSET, SUSTAIN, SUSTAIN, OFF, OFF, OFF, ONSET, OFF, ONSET]
    assert roll.mended(line)[0, :, 40].tolist() == after
    assert rows(roll.notes_of(line)) == [(0, 3, 64, 1), (0, 9, 64, 1), (0, 11, 64, 1)]
    assert rows(roll.notes_of(roll.mended(line))) == [(0, 3, 64, 3), (0, 9, 64, 1), (0, 11, 64, 1)]


@pytest.mark.parametrize("n_steps", [0, 1, 2])
def test_few_steps_are_cells_too(n_steps: int) -> None:
    states = np.zeros((2, n_steps, roll.N_PITCHES), np.uint8)
    states[:, :1, 3] = ONSET
    assert np.array_equal(roll.mended(states), states)
    assert len(roll.notes_of(states)) == (2 if n_steps else 0)


@pytest.mark.parametrize(
    ("metre", "steps"),
    [((4, 4), 16), ((3, 4), 12), ((6, 8), 12), ((2, 4), 8), ((2, 2), 16), ((7, 16), 7), ((2, 32), 1), ((4, 1), 64)],
)
def test_bars_have_the_length_of_their_metre(metre: tuple[int, int], steps: int) -> None:
    assert roll.bar_length(*metre) == steps
    placed = roll.place(piece([(steps, 60, 1)], metres=[(0, *metre)]), 1)
    assert placed.starts.tolist() == [0, steps, 2 * steps]
    assert rows(placed.notes) == [(0, steps, 60, 1)]


@pytest.mark.parametrize("metre", [(5, 32), (1, 32), (3, 32)])
def test_a_metre_of_no_whole_sixteenths_is_refused_or_rounded(metre: tuple[int, int]) -> None:
    score = piece([(0, 60, 1), (16, 62, 1)], metres=[(0, *metre), (1920, 4, 4)])
    with pytest.raises(RequestError, match=f"{metre[0]}/{metre[1]}.*transformer"):
        roll.place(score, 1)
    assert roll.place(piece([(0, 60, 1)]), 1, n_bars=3).starts.tolist() == [0, 16, 32, 48]
    starts = roll.place(score, 1, any_metre=True).starts
    assert starts[1] == max(1, round(Fraction(16 * metre[0], metre[1])))
    assert (np.diff(starts) >= 1).all()


def test_a_pickup_is_a_bar_of_its_own() -> None:
    placed = roll.place(piece([(0, 67, 4), (4, 60, 12)], metres=[(0, 1, 4), (480, 3, 4)]), 1)
    assert placed.starts.tolist() == [0, 4, 16]
    assert rows(placed.notes) == [(0, 0, 67, 4), (0, 4, 60, 12)]


def test_a_change_of_metre_begins_a_bar_even_within_one() -> None:
    metres = [(0, 4, 4), (1920 + 960, 6, 8)]  # the second bar of 4/4 is cut at its middle
    placed = roll.place(piece([(16, 60, 8), (24, 62, 12), (36, 64, 3)], metres=metres), 1)
    assert placed.starts.tolist() == [0, 16, 24, 36, 48]
    assert rows(placed.notes) == [(0, 16, 60, 8), (0, 24, 62, 12), (0, 36, 64, 3)]


def test_a_bar_off_the_grid_does_not_push_the_next_ones_off_it() -> None:
    metres = [TimeSignature(0, 4, 4), TimeSignature(1970, 4, 4)]  # a second bar of 50 ticks
    notes = [(0, 60, 480, 80), (1930, 61, 30, 80), (1970, 62, 480, 80), (1970 + 960, 64, 480, 80)]
    placed = roll.place(Score(480, (Track(frozen(notes, NOTE_DTYPE)),), time_signatures=tuple(metres)), 1)
    assert placed.starts.tolist() == [0, 16, 17, 33]
    assert [(step, pitch) for _, step, pitch, _ in rows(placed.notes)] == [(0, 60), (16, 61), (17, 62), (25, 64)]


def test_the_last_part_takes_the_tracks_that_are_left() -> None:
    score = piece([(0, 60, 4)], [], [(0, 62, 4)], [(0, 64, 8), (2, 62, 1)], [(8, 64, 4), (1, 62, 6)])
    placed = roll.place(score, 2)
    assert placed.tracks == (0, 2)
    assert rows(placed.notes) == [(0, 0, 60, 4), (1, 0, 62, 1), (1, 0, 64, 8), (1, 1, 62, 1), (1, 2, 62, 1),
                                  (1, 8, 64, 4)]  # fmt: skip
    chosen = roll.place(score, 2, tracks=[3, 0])
    assert chosen.tracks == (3, 0)
    assert {note[:3] for note in rows(chosen.notes)} == {(0, 0, 64), (0, 2, 62), (1, 0, 60)}


def test_drums_and_empty_tracks_are_no_parts() -> None:
    score = piece([(0, 60, 4)])
    drums = Track(score.tracks[0].notes, is_drum=True)
    placed = roll.place(score.with_tracks([drums, Track(), *score.tracks]), 4)
    assert placed.tracks == (2,) and rows(placed.notes) == [(0, 0, 60, 4)]
    assert rows(roll.place(score.with_tracks([drums]), 4).notes) == []


@pytest.mark.parametrize(
    ("pitch", "inside"),
    [(0, 24), (11, 35), (12, 24), (23, 35), (24, 24), (107, 107), (108, 96), (119, 107), (127, 103)],
)
def test_pitches_outside_go_to_the_nearest_octave_inside(pitch: int, inside: int) -> None:
    assert rows(roll.place(piece([(0, pitch, 2)]), 1).notes) == [(0, 0, inside, 2)]


@settings(max_examples=40)
@given(pieces(), st.integers(-6, 6))
def test_notes_that_move_are_placed_as_the_moved_piece_is(score: Score, semitones: int) -> None:
    low, high = [], []
    for track in score.tracks:
        notes = track.notes[(track.notes["pitch"] >= 30) & (track.notes["pitch"] <= 100)]
        low.append(Track(notes))
        notes = notes.copy()
        notes["pitch"] += semitones
        high.append(Track(frozen(notes, NOTE_DTYPE)))
    moved = roll.moved(roll.place(score.with_tracks(low), PARTS).notes, semitones)
    assert np.array_equal(moved, roll.place(score.with_tracks(high), PARTS).notes)


def test_notes_that_move_onto_others_are_cut_as_others_are() -> None:
    placed = roll.place(piece([(0, 107, 8), (2, 96, 2), (6, 96, 1)]), 1)
    assert rows(roll.moved(placed.notes, 1)) == [(0, 0, 96, 8), (0, 2, 97, 2), (0, 6, 97, 1)]
    assert rows(roll.moved(roll.place(piece([(0, 107, 8), (2, 95, 2)]), 1).notes, 1)) == [(0, 0, 96, 2), (0, 2, 96, 2)]


def test_a_note_takes_one_step_at_least_and_ends_within_the_piece() -> None:
    notes = [(0, 60, 0, 80), (50, 62, 10, 80), (1919, 64, 1, 80), (1000, 65, 5000, 80)]
    score = Score(480, (Track(frozen(notes, NOTE_DTYPE)),))
    assert rows(roll.place(score, 1, n_bars=1).notes) == [(0, 0, 60, 1), (0, 0, 62, 1), (0, 8, 65, 8), (0, 15, 64, 1)]
    assert rows(roll.place(score, 1, n_bars=0).notes) == []
    assert roll.place(score, 1, n_bars=0).starts.tolist() == [0]


def test_a_long_note_passes_bar_lines_and_notes_past_the_end_are_left_out() -> None:
    score = piece([(0, 60, 40), (32, 62, 4), (48, 64, 4)])
    placed = roll.place(score, 1, n_bars=3)
    assert rows(placed.notes) == [(0, 0, 60, 40), (0, 32, 62, 4)]
    assert roll.place(score, 1, n_bars=9).starts[-1] == 144


def test_of_doubles_the_longest_stays_and_later_notes_cut_earlier_ones() -> None:
    placed = roll.place(piece([(0, 60, 2), (0, 60, 8), (4, 60, 12), (4, 61, 1)]), 1)
    assert rows(placed.notes) == [(0, 0, 60, 4), (0, 4, 60, 12), (0, 4, 61, 1)]


@settings(max_examples=40)
@given(pieces(), st.data())
def test_a_window_shows_notes_from_before_as_sustain(score: Score, data: st.DataObject) -> None:
    placed = roll.place(score, PARTS)
    end = int(placed.starts[-1])
    start = data.draw(st.integers(0, end))
    stop = data.draw(st.integers(start, end))
    whole = roll.rasterise(placed.notes, 0, end, PARTS)
    assert np.array_equal(roll.rasterise(placed.notes, start, stop, PARTS), whole[:, start:stop])


def test_a_window_past_the_end_of_a_note_does_not_show_it() -> None:
    notes = roll.place(piece([(2, 60, 4)]), 1).notes
    assert roll.rasterise(notes, 4, 8, 1)[0, :, 36].tolist() == [SUSTAIN, SUSTAIN, OFF, OFF]
    assert roll.rasterise(notes, 0, 4, 1)[0, :, 36].tolist() == [OFF, OFF, ONSET, SUSTAIN]
    assert not roll.rasterise(notes, 6, 8, 1).any()


def test_a_score_says_its_metre_key_tempo_and_end() -> None:
    states = np.zeros((2, 24, roll.N_PITCHES), np.uint8)
    states[1, 12, 0] = ONSET
    score = roll.to_score(states, (3, 4), [0, 1], key=KeySignature(0, -3, "minor"), tempo=Tempo(0, 400_000))
    assert score.time_signatures == (TimeSignature(0, 3, 4),) and score.end == 24 * 120
    assert score.key_signatures == (KeySignature(0, -3, "minor"),) and score.tempos == (Tempo(0, 400_000),)
    assert [len(track.notes) for track in score.tracks] == [0, 1]
    assert score.tracks[1].notes.tolist() == [(1440, 24, 120, roll.VELOCITY)]
