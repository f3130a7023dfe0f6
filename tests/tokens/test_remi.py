"""What encode writes, decode reads: the laws of the tokenizer."""

from dataclasses import replace
from itertools import accumulate

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from musegen.errors import RequestError
from musegen.score import timing
from musegen.score.model import Chord, KeySignature, Score, Tempo, TimeSignature, Track
from musegen.score.ops import transpose
from musegen.tokens import ATTRIBUTES, VOCABULARY, Constraints, Controls, Grid, Remi, density_of, to_grid
from musegen.tokens.grid import to_score
from musegen.tokens.trace import trace
from musegen.tokens.vocabulary import DURATIONS, KEYS

TOKENIZER = Remi()
METRES = [(4, 4), (3, 4), (6, 8), (2, 2), (5, 8), (9, 8)]


@st.composite
def scores(draw: st.DrawFn) -> Score:
    """Scores off the grid in every way that rounding must bear: odd resolutions, overlaps, doubled notes."""
    ticks = draw(st.sampled_from([24, 96, 100, 480]))
    note = st.tuples(st.integers(0, ticks * 24), st.integers(20, 100), st.integers(1, ticks * 6), st.integers(1, 127))
    tracks = tuple(
        Track(draw(st.lists(note, min_size=1, max_size=25)), program=draw(st.integers(0, 127)))
        for _ in range(draw(st.integers(1, 3)))
    )
    if draw(st.booleans()):
        tracks = (*tracks, Track(draw(st.lists(note, min_size=1, max_size=15)), is_drum=True))
    bar = 0
    metres = []
    for _ in range(draw(st.integers(0, 3))):
        metre = TimeSignature(bar, *draw(st.sampled_from(METRES)))
        metres.append(metre)
        bar += draw(st.integers(1, 3)) * metre.ticks_per_bar(ticks)
    return Score(
        ticks,
        tracks,
        tempos=tuple(Tempo(t, draw(st.integers(200_000, 2_000_000))) for t in draw(st.sets(st.integers(0, 2000)))),
        time_signatures=tuple(metres),
        key_signatures=tuple(KeySignature(0, *draw(st.sampled_from(KEYS))) for _ in range(draw(st.integers(0, 1)))),
        chords=tuple(Chord(t * ticks, s) for t, s in draw(st.dictionaries(
            st.integers(0, 20), st.sampled_from(["C", "Dm7", "F#dim", "Bb/D", "N"]), max_size=5)).items()),
    )  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(scores())
def test_decode_undoes_encode(score: Score) -> None:
    assert TOKENIZER.decode(TOKENIZER.encode(score)) == TOKENIZER.quantize(score)


@st.composite
def masked_grids(draw: st.DrawFn) -> tuple[Grid, npt.NDArray[np.bool_]]:
    grid = to_grid(draw(scores()))
    shape = (max(1, len(grid.programs)), len(grid.metres))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    cells = rng.random(shape) < draw(st.sampled_from([0.2, 0.5, 0.9]))
    if draw(st.booleans()):
        cells[:] = cells.any(axis=draw(st.sampled_from([0, 1])), keepdims=True)  # whole bars, or whole tracks
    return grid, cells


@settings(max_examples=150, deadline=None)
@given(masked_grids())
def test_what_is_taken_out_and_written_at_the_end_is_the_same_piece(masked: tuple[Grid, npt.NDArray[np.bool_]]) -> None:
    grid, cells = masked
    ids = TOKENIZER.encode_grid(grid, masked=cells)
    assert (ids == VOCABULARY.id("FILL")).sum() == cells.any()
    fill = int(np.flatnonzero(ids == VOCABULARY.id("FILL"))[0]) if cells.any() else len(ids)
    assert not cells[grid.notes["track"], grid.notes["bar"]].any() or (
        TOKENIZER.decode(ids[:fill]).n_notes == (~cells[grid.notes["track"], grid.notes["bar"]]).sum()
    )
    assert TOKENIZER.decode(ids) == to_score(grid)
    state = TOKENIZER.grammar(Constraints(bars=len(grid.metres), changes=True, chords=True, masks=True)).start()
    attributes = []
    for token in ids.tolist():
        state.advance(token)
        attributes.append(state.attributes)
    assert state.done
    assert np.array_equal(TOKENIZER.attributes(ids), attributes)


def test_a_mask_hides_the_notes_of_its_tracks_and_bars_and_the_grammar_lets_just_those_be_written() -> None:
    melody = Track([(480 * i, 72, 480, 84) for i in range(8)], program=73)
    bass = Track([(960 * i, 48, 960, 84) for i in range(4)], program=32)
    grid = to_grid(Score(480, (melody, bass), chords=(Chord(1920, "Am"),)))
    ids = TOKENIZER.encode_grid(grid, masked=np.array([[False, True], [True, True]]))
    names = [VOCABULARY.names[token] for token in ids]
    pitches = ["Pitch_72"] * 4
    assert names[names.index("Bar_1") :] == [
        "Bar_1", *pitches, "Track_1", "MASK",
        "Bar_0", "Chord_Am", "Track_0", "MASK", "Track_1", "MASK",
        "FILL", "Bar_1", "Track_1", "Duration_48", "Pitch_48", "Pitch_48",
        "Bar_0", *pitches, "Track_1", "Pitch_48", "Pitch_48", "EOS",
    ]  # fmt: skip
    state = TOKENIZER.grammar(Constraints(bars=2, chords=True, masks=True)).start()
    for token in ids[: names.index("FILL") + 2].tolist():
        assert state.allowed()[token], VOCABULARY.names[token]
        state.advance(token)
    kinds = {VOCABULARY.names[token].split("_")[0] for token in np.flatnonzero(state.allowed())}
    assert kinds == {"Track", "Bar"}, "the melody of the first bar was given"
    for token in ids[names.index("FILL") + 2 :].tolist():
        assert state.allowed()[token], VOCABULARY.names[token]
        state.advance(token)
    assert state.done


@settings(max_examples=100, deadline=None)
@given(scores(), st.data())
def test_a_slice_holds_the_notes_of_its_bars_and_the_chord_in_force(score: Score, data: st.DataObject) -> None:
    grid = to_grid(score)
    first = data.draw(st.integers(0, len(grid.metres) - 1))
    last = data.draw(st.integers(first + 1, len(grid.metres)))
    part = grid.slice_bars(first, last)
    inside = (grid.notes["bar"] >= first) & (grid.notes["bar"] < last)
    assert np.array_equal(part.notes["onset"] + grid.starts[first], grid.notes["onset"][inside])
    before = grid.chords[(grid.chords[:, 0] < first) | ((grid.chords[:, 0] == first) & (grid.chords[:, 1] == 0))]
    if len(before):
        assert tuple(part.chords[0]) == (0, 0, *before[-1, 2:])
    assert TOKENIZER.grid(TOKENIZER.encode_grid(part)).notes.tolist() == part.notes.tolist()


@settings(max_examples=100, deadline=None)
@given(scores())
def test_what_encode_writes_the_grammar_allows(score: Score) -> None:
    bars = [metre.numerator / metre.denominator for metre in (timing.metre_at(score, 0), *score.time_signatures)]
    shorter = [
        m for m, bar, least in zip(score.time_signatures, bars[1:], accumulate(bars, min), strict=False) if bar <= least
    ]
    score = replace(score, time_signatures=tuple(shorter))  # the grammar does not count on longer bars to come
    ids = TOKENIZER.encode(score)
    n_bars = len(TOKENIZER.bar_offsets(ids))
    assume(timing.n_bars(TOKENIZER.decode(ids)) == n_bars)  # a last bar that rounding silences is not sampled
    state = TOKENIZER.grammar(Constraints(bars=n_bars, changes=True, chords=True)).start()
    attributes = []
    for i, token in enumerate(ids.tolist()):
        assert state.allowed()[token], [VOCABULARY.names[t] for t in ids[max(0, i - 8) : i + 1]]
        state.advance(token)
        attributes.append(state.attributes)
    assert state.done
    assert np.array_equal(TOKENIZER.attributes(ids), attributes)


@settings(max_examples=60, deadline=None)
@given(scores(), st.integers(-5, 6))
def test_moving_ids_is_moving_music(score: Score, semitones: int) -> None:
    moved = TOKENIZER.transposition(semitones)[TOKENIZER.encode(score)]
    expected = TOKENIZER.quantize(transpose(score, semitones))
    ours = TOKENIZER.decode(moved)
    assert ours.tracks == expected.tracks
    assert [k.fifths % 12 for k in ours.key_signatures] == [k.fifths % 12 for k in expected.key_signatures]


def test_transposition_says_what_leaves_the_range() -> None:
    up = TOKENIZER.transposition(3)
    assert up[VOCABULARY.id("Pitch", 126)] == -1 and up[VOCABULARY.id("Pitch", 60)] == VOCABULARY.id("Pitch", 63)
    assert up[VOCABULARY.id("Drum", 126)] == VOCABULARY.id("Drum", 126)
    assert sorted(set(up[up >= 0].tolist()) - set(range(VOCABULARY.size))) == []


def test_a_scale_of_quarters_takes_one_token_a_note() -> None:
    notes = [(480 * i, 60 + i, 480, 84) for i in range(8)]
    ids = TOKENIZER.encode(Score(480, (Track(notes, program=73),)))
    names = [VOCABULARY.names[token] for token in ids]
    assert names[:2] == ["BOS", "Metre_4/4"]
    assert names[2:5] == ["Bars_2", "Instrument_73", "Bar_1"]
    assert names[5:] == [f"Pitch_{60 + i}" for i in range(4)] + ["Bar_0"] + [f"Pitch_{64 + i}" for i in range(4)] + [
        "EOS"
    ]


def test_voices_and_chords() -> None:
    upper = Track([(0, 72, 480, 84), (0, 76, 480, 84), (960, 74, 240, 84)], program=0)
    lower = Track([(0, 48, 1920, 84)], program=32)
    names = [VOCABULARY.names[token] for token in TOKENIZER.encode(Score(480, (upper, lower)))]
    assert names[names.index("Bar_0") + 1 :] == [
        "Pitch_72", "Add_76", "Position_48", "Duration_12", "Pitch_74", "Track_1", "Duration_96", "Pitch_48", "EOS",
    ]  # fmt: skip


def test_the_model_is_told_what_sounds_where_the_next_note_would_stand() -> None:
    tune = Track([(0, 72, 960, 84), (960, 76, 960, 84)], program=73)
    bass = Track([(0, 48, 480, 84), (480, 55, 480, 84), (960, 52, 960, 84)], program=32)
    drums = Track([(0, 36, 1920, 84)], is_drum=True)
    ids = TOKENIZER.encode(Score(480, (tune, bass, drums)))
    sounding = [name for name, _ in ATTRIBUTES].index("lowest pitch sounding")
    rows = TOKENIZER.attributes(ids)[:, sounding : sounding + 13].tolist()
    told = [(row[0], {pc for pc in range(12) if row[1 + pc]}) for row in rows]
    at = [VOCABULARY.names[token] for token in ids].index("Track_1")
    silence: tuple[int, set[int]] = (128, set())
    assert told[0] == silence  # the head
    assert told[at] == (72, {0})  # the bass begins under C5
    names = [VOCABULARY.names[token] for token in ids[at:]]
    assert told[at + names.index("Pitch_48")] == (72, {0})  # where C3 ends
    assert told[at + names.index("Pitch_55")] == (76, {4})  # at the third beat, under E5
    assert told[at + names.index("Pitch_52")] == silence  # at the bar line
    assert told[at + names.index("Track_2")] == (48, {0})  # drums are told too, and are not told of


def test_a_beginning_announces_the_whole_and_has_no_end() -> None:
    score = Score(480, (Track([(0, 60, 480, 84)]),))
    ids = TOKENIZER.encode(score, Controls(style="folk", density=2), bars=70, written=2, ends=False)
    names = [VOCABULARY.names[token] for token in ids]
    assert "Style_folk" in names and "Density_2" in names and "Bars_65" in names
    assert [n for n in names if n.startswith("Bar_")] == ["Bar_64", "Bar_64"]
    assert names[-1] != "EOS"


def test_what_tokens_cannot_hold_is_refused_by_name() -> None:
    note = [(0, 60, 480, 84)]
    with pytest.raises(RequestError, match="bar 1 has the metre 12/4"):
        TOKENIZER.encode(Score(480, (Track(note),), time_signatures=(TimeSignature(0, 12, 4),)))
    with pytest.raises(RequestError, match="17 tracks have notes"):
        TOKENIZER.encode(Score(480, tuple(Track(note) for _ in range(17))))
    with pytest.raises(RequestError, match="unknown style 'polka-metal'"):
        Controls(style="polka-metal")
    with pytest.raises(RequestError, match="no piece"):
        TOKENIZER.decode(np.array([VOCABULARY.id("BOS"), VOCABULARY.id("EOS")]))
    ids = TOKENIZER.encode(Score(480, (Track(note),)))
    with pytest.raises(RequestError, match="track that is not in their head"):
        TOKENIZER.decode(np.append(ids[:-1], [VOCABULARY.id("Track", 3), VOCABULARY.id("Pitch", 60)]))


def test_drums_last_until_the_next_stroke() -> None:
    score = Score(480, (Track([(0, 36, 10, 84), (240, 42, 10, 84), (960, 38, 10, 84)], is_drum=True),))
    drums = TOKENIZER.quantize(score).tracks[0]
    assert drums.is_drum and drums.notes["duration"].tolist() == [240, 720, 480]


def test_the_words_are_distinct_and_fixed() -> None:
    assert len(set(VOCABULARY.names)) == VOCABULARY.size == 1469
    assert VOCABULARY.fingerprint == "5bd4a151359f", "weights in the field fit only this table; change it knowingly"
    assert DURATIONS[0] == 1 and len(DURATIONS) == 76


def test_density_grows_with_the_notes() -> None:
    def busy(n: int) -> int:
        return density_of(Score(480, (Track([(1920 * i // n, 60, 100, 80) for i in range(n)]),), end=1920))

    assert [busy(n) for n in (1, 2, 4, 16, 64)] == sorted({busy(n) for n in (1, 2, 4, 16, 64)})
    assert 1 <= busy(1) < busy(64) <= 10


def test_reading_is_the_same_in_the_middle_of_a_piece() -> None:
    score = Score(480, (Track([(480 * i, 60 + i % 5, 480, 84) for i in range(16)]),))
    ids = TOKENIZER.encode(score)
    whole = trace(ids).attributes
    for cut in TOKENIZER.bar_offsets(ids)[1:]:
        assert np.array_equal(trace(ids[:cut]).attributes, whole[:cut])


def test_velocity_and_tempo_go_to_their_class() -> None:
    score = replace(Score(480, (Track([(0, 60, 480, 101), (480, 62, 480, 3)]),)), tempos=(Tempo(0, round(60e6 / 97)),))
    rounded = TOKENIZER.quantize(score)
    assert rounded.tracks[0].notes["velocity"].tolist() == [100, 4]
    assert abs(rounded.tempos[0].qpm - 97) < 5
