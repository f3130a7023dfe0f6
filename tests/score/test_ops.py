from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musegen.errors import RequestError
from musegen.score.joining import concatenate, merge
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
from musegen.score.ops import blank_region, quantize, shift, slice_bars, transpose
from musegen.score.timing import n_bars
from tests.strategies import scores


def notes(*rows: tuple[int, int, int]) -> Track:
    """A track of (start, pitch, duration) notes."""
    return Track(frozen([(start, pitch, length, 64) for start, pitch, length in rows], NOTE_DTYPE))


def rows(track: Track) -> list[tuple[int, int, int]]:
    return [(int(n["start"]), int(n["pitch"]), int(n["duration"])) for n in track.notes]


FRAMED = Score(
    480,
    (
        Track(
            frozen([(i * 480, 60 + i, 480, 80) for i in range(16)], NOTE_DTYPE),
            program=40,
            name="Violin",
            channel=0,
            controls=frozen([(0, 7, 100), (0, 64, 127), (2400, 64, 0), (1920, 7, 90)], CONTROL_DTYPE),
            bends=frozen([(480, 100), (1900, 0)], BEND_DTYPE),
            program_changes=frozen([(3000, 41)], PROGRAM_DTYPE),
            lyrics=(Text(0, "la"), Text(1920, "lo")),
        ),
        Track(frozen([(0, 36, 10, 80)], NOTE_DTYPE), is_drum=True, channel=9),
    ),
    tempos=(Tempo(0, 400_000), Tempo(2400, 300_000)),
    time_signatures=(TimeSignature(0, 4, 4), TimeSignature(3840, 2, 4)),
    key_signatures=(KeySignature(0, 2, "major"),),
    chords=(Chord(0, "D"), Chord(2000, "A7")),
    markers=(Text(1920, "B"),),
    title="Framed",
    end=7680,
)


# ---- cutting and joining -------------------------------------------------------------------------------------


def test_a_slice_restates_what_is_in_force() -> None:
    part = slice_bars(FRAMED, 1, 3)
    violin = part.tracks[0]
    assert part.end == 1920 + 960
    assert part.tempos == (Tempo(0, 400_000), Tempo(480, 300_000))
    assert part.time_signatures == (TimeSignature(0, 4, 4), TimeSignature(1920, 2, 4))
    assert part.key_signatures == (KeySignature(0, 2, "major"),)
    assert part.chords == (Chord(0, "D"), Chord(80, "A7"))
    assert part.markers == (Text(0, "B"),)
    assert violin.controls.tolist() == [(0, 64, 127), (0, 7, 90), (480, 64, 0)]
    assert violin.bends.tolist() == [(0, 0)]
    assert violin.program == 40
    assert violin.program_changes.tolist() == [(1080, 41)]
    assert violin.lyrics == (Text(0, "lo"),)
    assert rows(violin) == [(i * 480, 64 + i, 480) for i in range(6)]
    assert len(part.tracks[1].notes) == 0
    assert slice_bars(FRAMED, 2, 3).tracks[0].program == 41


def test_a_slice_clips_what_holds_over() -> None:
    score = Score(480, (notes((0, 60, 5000), (1900, 61, 100), (1920, 62, 0), (3839, 63, 1), (3840, 64, 9)),))
    assert rows(slice_bars(score, 1, 2).tracks[0]) == [(0, 60, 1920), (0, 61, 80), (0, 62, 0), (1919, 63, 1)]


def test_bars_past_the_end_are_empty() -> None:
    part = slice_bars(FRAMED, 5, 40)
    assert n_bars(replace(part, tracks=())) == 35
    assert part.end == 35 * 960


@pytest.mark.parametrize("cut", [1, 2, 3, 5])
def test_slices_make_the_piece_again(cut: int) -> None:
    bars = n_bars(FRAMED)
    assert concatenate([slice_bars(FRAMED, 0, cut), slice_bars(FRAMED, cut, bars)]) == FRAMED


@st.composite
def barred(draw: st.DrawFn) -> Score:
    """Four bars of 3/4, no note across a bar line, nothing said twice; what is in force may begin anywhere."""
    beat, bar = 12, 36
    inside = st.integers(0, bar - 1).flatmap(lambda at: st.tuples(st.just(at), st.integers(0, bar - at)))
    found = draw(st.lists(st.tuples(st.integers(0, 3), inside, st.integers(0, 127)), max_size=12))
    time, value = st.integers(0, 4 * bar), st.integers(0, 127)
    values = draw(st.lists(st.tuples(time, value), max_size=5, unique_by=(lambda e: e[0], lambda e: e[1])))
    track = Track(
        frozen([(b * bar + at, pitch, length, 64) for b, (at, length), pitch in found], NOTE_DTYPE),
        name=draw(st.sampled_from(["", "Flute"])),
        program=draw(value),
        controls=frozen([(at, number % 3, number) for at, number in values], CONTROL_DTYPE),
        bends=frozen(values, BEND_DTYPE),
    )
    return Score(
        beat,
        (track,),
        tempos=tuple(Tempo(at, 400_000 + number) for at, number in values),
        time_signatures=(TimeSignature(0, 3, 4),),
        key_signatures=tuple(KeySignature(at, number - 7, "major") for at, number in values if number < 15),
        chords=tuple(Chord(at, f"C{number}") for at, number in values),
        markers=tuple(Text(at, str(number)) for at, number in values),
        end=4 * bar,
    )


@given(barred(), st.integers(1, 3))
def test_slices_make_any_piece_again(score: Score, cut: int) -> None:
    assert concatenate([slice_bars(score, 0, cut), slice_bars(score, cut, 4)]) == score


@pytest.mark.parametrize(("first", "last"), [(-1, 2), (2, 2), (3, 1)])
def test_impossible_bars_are_refused(first: int, last: int) -> None:
    for cut in (slice_bars, blank_region):
        with pytest.raises(RequestError, match="no such bars"):
            cut(FRAMED, first, last)


def test_a_join_restates_the_defaults_only_where_they_change() -> None:
    plain, slow = Score(480, (notes((0, 60, 480)),), end=1920), Score(480, tempos=(Tempo(0, 900_000),), end=1920)
    assert concatenate([plain, plain]).tempos == ()
    assert concatenate([slow, plain]).tempos == (Tempo(0, 900_000), Tempo(1920, 500_000))
    assert concatenate([plain, slow, slow]).tempos == (Tempo(1920, 900_000),)


def test_joined_tracks_go_on_by_name_and_new_ones_are_added() -> None:
    first = Score(480, (replace(notes((0, 60, 480)), name="A"), replace(notes((0, 50, 480)), program=3)), end=480)
    second = Score(480, (replace(notes((0, 61, 480)), name="A", program=7), replace(notes((0, 51, 480)), program=4)))
    joined = concatenate([first, second])
    assert [rows(track) for track in joined.tracks] == [
        [(0, 60, 480), (480, 61, 480)],
        [(0, 50, 480)],
        [(480, 51, 480)],
    ]
    assert joined.tracks[0].program_changes.tolist() == [(480, 7)]
    assert [track.program for track in joined.tracks] == [0, 3, 4]


def test_pieces_of_several_resolutions_are_joined_without_rounding() -> None:
    joined = concatenate([Score(480, (notes((0, 60, 480)),)), Score(32, (notes((1, 61, 32)),))])
    assert joined.ticks_per_beat == 480
    assert rows(joined.tracks[0]) == [(0, 60, 480), (495, 61, 480)]
    assert merge([Score(3), Score(7)]).ticks_per_beat == 21
    with pytest.raises(RequestError, match=r"no common resolution for \[480, 32767\]"):
        merge([Score(480), Score(32767)])


def test_merge_lays_pieces_over_one_another() -> None:
    both = merge([Score(480, (notes((0, 60, 480)),), markers=(Text(5, "a"),)), FRAMED])
    assert len(both.tracks) == 3
    assert (both.title, both.tempos, both.end) == ("Framed", FRAMED.tempos, 7680)
    assert both.markers == (Text(5, "a"), Text(1920, "B"))


def test_nothing_cannot_be_joined() -> None:
    with pytest.raises(RequestError, match="nothing to merge"):
        merge([])
    with pytest.raises(RequestError, match="nothing to concatenate"):
        concatenate([])


def test_a_blanked_region_is_silent_and_the_rest_untouched() -> None:
    score = Score(480, (notes((0, 60, 480), (1900, 61, 3000), (2000, 62, 4000), (3840, 63, 480)),), end=9600)
    blank = blank_region(score, 1, 2)
    assert rows(blank.tracks[0]) == [(0, 60, 480), (1900, 61, 20), (3840, 63, 480)]
    assert blank.end == 9600
    framed = blank_region(FRAMED, 1, 2)
    assert framed.tracks[0].lyrics == (Text(0, "la"),)
    assert replace(framed, tracks=FRAMED.tracks) == FRAMED


# ---- pitch and grid ------------------------------------------------------------------------------------------


@given(scores(max_tracks=3), st.integers(-12, 12))
def test_transposing_back_undoes_it(score: Score, semitones: int) -> None:
    keys = tuple(key for key in score.key_signatures if abs(key.fifths) < 6)
    tracks = tuple(replace(track, pressures=[]) for track in score.tracks)  # of keys that may leave the keyboard
    plain = replace(score, tracks=tracks, key_signatures=keys, chords=())
    pitches = [int(p) for track in plain.tracks if not track.is_drum for p in track.notes["pitch"]]
    if all(0 <= pitch + semitones <= 127 for pitch in pitches):
        there = transpose(plain, semitones)
        moved = [int(p) for track in there.tracks if not track.is_drum for p in track.notes["pitch"]]
        assert sorted(moved) == sorted(pitch + semitones for pitch in pitches)
        assert transpose(there, -semitones) == plain
    else:
        with pytest.raises(RequestError, match=rf"cannot transpose by {semitones} semitones; this piece allows"):
            transpose(plain, semitones)


def test_transposing_moves_keys_and_chords_but_not_drums() -> None:
    up = transpose(FRAMED, 1)
    assert up.key_signatures == (KeySignature(0, -3, "major"),)
    assert up.chords == (Chord(0, "Eb"), Chord(2000, "Bb7"))
    assert up.tracks[1] == FRAMED.tracks[1]
    assert rows(up.tracks[0])[0] == (0, 61, 480)


def test_the_range_that_transposing_allows_is_said() -> None:
    with pytest.raises(RequestError, match=r"allows -60 to 52$"):
        transpose(FRAMED, 1000)


@given(scores(), st.integers(1, 30))
def test_quantizing_twice_is_quantizing_once(score: Score, steps: int) -> None:
    once = quantize(score, steps)
    assert quantize(once, steps) == once
    assert once.n_notes == score.n_notes
    if score.ticks_per_beat % steps == 0 and steps < score.ticks_per_beat:
        step = score.ticks_per_beat // steps
        for track in once.tracks:
            assert (track.notes["start"] % step == 0).all()
            assert (track.notes["duration"] % step == 0).all()
            assert (track.notes["duration"] >= step).all()


def test_quantizing_goes_to_the_nearest_step() -> None:
    score = Score(480, (notes((59, 60, 119), (60, 61, 10), (230, 62, 250)),), tempos=(Tempo(470, 400_000),))
    grid = quantize(score, 4)
    assert rows(grid.tracks[0]) == [(0, 60, 120), (120, 61, 120), (240, 62, 240)]
    assert grid.tempos == (Tempo(480, 400_000),)
    with pytest.raises(RequestError, match="must be 1 or more"):
        quantize(score, 0)


@given(scores(), st.integers(0, 10_000))
def test_shifting_moves_everything(score: Score, ticks: int) -> None:
    later = shift(score, ticks)
    assert later.end == score.end + ticks
    assert [t.time for t in later.tempos] == [t.time + ticks for t in score.tempos]
    assert shift(later, -ticks) == score
