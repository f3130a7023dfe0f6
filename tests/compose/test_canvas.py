"""A diffusion model beside a piece: what was there stays to the tick, and what is new lies where it was asked for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musegen import conditions, roll
from musegen.compose import Denoising, Request
from musegen.compose.canvas import Canvas, canvas_of, join, sounding_at_once, ticks_of
from musegen.compose.diffusion import DiffusionComposer
from musegen.compose.filling import Task, task_of
from musegen.errors import RequestError
from musegen.score import timing
from musegen.score.model import NOTE_DTYPE, Chord, KeySignature, Score, Tempo, TimeSignature, Track
from musegen.score.theory import Key, parse_key, scale_pitch_classes
from musegen.tokens import density_of
from tests.compose.messy import messy

FEW = Denoising(steps=3)
N_PARTS = 4
SEEDS = st.integers(0, 2**20)


def one(composer: DiffusionComposer, **wishes: object) -> Score:
    return composer.compose([Request(denoising=FEW, **wishes)])[0]  # type: ignore[arg-type]


def piece(seed: int, *, chords: bool = False) -> Score:
    """A messy piece in a metre that the model can write, with no drums."""
    source = messy(seed, chords=chords)
    tracks = (replace(track, is_drum=False, channel=None) for track in source.tracks)
    return replace(source.with_tracks(tracks), time_signatures=(TimeSignature(0, 3 + seed % 2, 4),))


def canvas(before: Score, key: Key | None = None, **wishes: object) -> Canvas:
    request = Request(prompt=before, **wishes)  # type: ignore[arg-type]
    return canvas_of(task_of(request), request, N_PARTS, key)


@given(SEEDS)
@settings(max_examples=4)
def test_a_continuation_leaves_what_was_there(singer: DiffusionComposer, seed: int) -> None:
    before = piece(seed)
    bars = timing.n_bars(before)
    after = one(singer, prompt=before, bars=3, seed=seed)
    line, stop = (int(tick) for tick in timing.bar_starts(before, bars + 3)[[bars, bars + 3]])
    assert timing.n_bars(after) == bars + 3 and after.end == stop
    for old, new in zip(before.tracks, after.tracks, strict=True):
        fresh = new.notes[len(old.notes) :]
        assert np.array_equal(new.notes[: len(old.notes)], old.notes) and len(fresh)
        assert (fresh["start"] >= line).all() and (fresh["start"] + fresh["duration"] <= stop).all()
        assert replace(new, notes=old.notes) == old
    assert replace(after, tracks=before.tracks, texts=before.texts, end=before.end) == before


def test_only_the_new_bars(singer: DiffusionComposer) -> None:
    before = piece(2)
    whole, alone = (one(singer, prompt=before, bars=2, seed=1, only_new=only) for only in (False, True))
    assert timing.n_bars(alone) == 2 and alone.n_notes == whole.n_notes - before.n_notes
    assert alone.tempos[0].qpm == whole.tempos[-1].qpm and len(alone.tracks) == 3


def test_going_on_from_a_bar_drops_what_follows_it_and_chords_are_stored(singer: DiffusionComposer) -> None:
    before = replace(piece(5), chords=(Chord(0, "G"),))
    line = int(timing.bar_starts(before, 4)[3])
    after = one(singer, prompt=before, bars=2, from_bar=4, chords=("Am", "D7"), seed=1)
    assert timing.n_bars(after) == 5
    for old, new in zip(before.tracks, after.tracks, strict=True):
        kept = old.notes[old.notes["start"] < line]
        assert np.array_equal(new.notes[: len(kept)][["start", "pitch"]], kept[["start", "pitch"]])
    lines = timing.bar_starts(before, 5).tolist()
    assert [(c.time, c.symbol) for c in after.chords] == [(0, "G"), (lines[3], "Am"), (lines[4], "D7")]


@given(SEEDS, st.data())
@settings(max_examples=6)
def test_an_infill_changes_nothing_else(singer: DiffusionComposer, seed: int, data: st.DataObject) -> None:
    before = piece(seed, chords=seed % 2 == 0)
    n_bars = timing.n_bars(before)
    first = data.draw(st.integers(1, n_bars), "first")
    last = data.draw(st.integers(first, n_bars), "last")
    tracks = tuple(data.draw(st.lists(st.sampled_from(range(3)), unique=True, max_size=2), "tracks"))
    after = one(singer, prompt=before, infill=(first, last), tracks=tracks, seed=seed)
    start, stop = (int(tick) for tick in timing.bar_starts(before, last)[[first - 1, last]])
    assert replace(after, tracks=before.tracks, texts=before.texts, end=before.end) == before
    for k, (old, new) in enumerate(zip(before.tracks, after.tracks, strict=True)):
        if tracks and k not in tracks:
            assert old == new
            continue
        outside = [(notes["start"] < start) | (notes["start"] >= stop) for notes in (old.notes, new.notes)]
        assert np.array_equal(old.notes[outside[0]], new.notes[outside[1]])
        fresh = new.notes[~outside[1]]
        assert (fresh["start"] + fresh["duration"] <= stop).all() and (fresh["duration"] > 0).all()


def test_a_note_that_sounds_into_the_span_stays_and_is_shown() -> None:
    held = Track([(0, 60, 2880, 80), (1920, 64, 480, 80)])
    shown = canvas(Score(480, (held,), end=3840), infill=(2, 2))
    pitch = 60 - roll.LOWEST
    assert (shown.states[0, 1:24, pitch] == roll.SUSTAIN).all() and shown.states[0, 0, pitch] == roll.ONSET
    assert not shown.written[0, 16:24, pitch].any() and shown.written[0, 24:, pitch].all()
    assert not shown.states[0, :, 64 - roll.LOWEST].any(), "what begins in the span is gone"
    assert not shown.written[:, :16].any() and not shown.written[1:].any()


@given(SEEDS)
@settings(max_examples=3)
def test_a_harmonized_melody_stays_and_new_tracks_join_it(singer: DiffusionComposer, seed: int) -> None:
    before = piece(seed)
    after = one(singer, prompt=before, harmonize=(1,), instruments=((32, False), (40, False)), seed=seed)
    assert after.tracks[0] == before.tracks[1] and [t.program for t in after.tracks[1:]] == [32, 40]
    assert all(len(track.notes) and track.name for track in after.tracks[1:])
    assert timing.n_bars(after) == timing.n_bars(before)
    rest = {"tracks": (), "texts": (), "end": 10**6}
    assert replace(after, **rest) == replace(before, **rest)


def test_a_chorale_is_three_voices_below_the_melody_in_the_chords_asked_for(singer: DiffusionComposer) -> None:
    before = piece(3)
    after = one(singer, prompt=before, harmonize=(0,), chords=("C", "F"), seed=1)
    assert [track.name for track in after.tracks] == ["part 0", "Alto", "Tenor", "Bass"]
    assert [chord.symbol for chord in after.chords] == ["C", "F"] * (timing.n_bars(before) // 2) + ["C"] * (
        timing.n_bars(before) % 2
    )


def test_polyphony_counts_all_that_stands(singer: DiffusionComposer) -> None:
    """Tracks that the model is not shown, and notes off the grid."""
    tracks = [Track([(1000 * i + 37, 40 + 2 * k, 990, 80) for i in range(8)]) for k in range(6)]
    before = Score(480, tuple(tracks), end=9 * 960, time_signatures=(TimeSignature(0, 2, 4),))
    after = one(singer, prompt=before, infill=(1, 9), tracks=(5,), polyphony=6, seed=2)
    notes = np.concatenate([track.notes for track in after.tracks])
    sounding = np.zeros(after.notes_end + 1, int)
    np.add.at(sounding, notes["start"], 1)
    np.add.at(sounding, notes["start"] + notes["duration"], -1)
    assert sounding.cumsum().max() == 6
    assert len(after.tracks[5].notes) and after.tracks[:5] == before.tracks[:5]


def test_what_sounds_at_once_is_counted_between_ticks() -> None:
    tracks = (Track([(0, 60, 95, 80), (95, 62, 30, 80)]), Track([(50, 70, 10, 80)]), Track([(0, 35, 999, 80)], 0, True))
    assert sounding_at_once(tracks, np.array([0, 40, 60, 100, 125, 200])).tolist() == [1, 2, 1, 1, 0]
    assert sounding_at_once((), np.array([0, 40, 60])).tolist() == [0, 0]


def test_a_strict_scale_follows_the_keys_of_the_piece(singer: DiffusionComposer) -> None:
    keys = (KeySignature(0, 2, "major"), KeySignature(3840, -4, "major"))
    before = Score(480, (Track([(480 * i, 62, 480, 80) for i in range(16)]),), key_signatures=keys)
    new = one(singer, prompt=before, infill=(1, 4), scale="strict", seed=5).tracks[0].notes
    for key, inside in zip(keys, (new["start"] < 3840, new["start"] >= 3840), strict=True):
        assert inside.any()
        assert {int(pitch) % 12 for pitch in new["pitch"][inside]} <= scale_pitch_classes(Key.from_signature(key))
    silent = replace(before, key_signatures=())
    with pytest.raises(RequestError, match=r"the piece says no key, so a strict scale needs one: give it \(--key\)"):
        one(singer, prompt=silent, infill=(1, 4), scale="strict")
    asked = one(singer, prompt=before, infill=(1, 4), scale="strict", key=parse_key("C"), seed=5).tracks[0].notes
    assert {int(pitch) % 12 for pitch in asked["pitch"]} <= scale_pitch_classes(parse_key("C"))


def test_a_canvas_is_the_span_with_eight_bars_on_each_side() -> None:
    notes = [(1440 * i, 60, 480, 80) for i in range(40)]
    before = Score(480, (Track(notes),), time_signatures=(TimeSignature(0, 3, 4),), chords=(Chord(0, "G"),))
    shown = canvas(before, parse_key("G"), infill=(20, 21), style="folk", density=7)
    assert (shown.first, shown.bars, shown.slots, shown.n_parts) == (11, (3,) * 18, (0,), 1)
    assert shown.written.shape == (4, 18 * 12, roll.N_PITCHES)
    assert np.flatnonzero(shown.written[0].any(axis=1)).tolist() == list(range(96, 120))
    assert shown.semitones == 5 and shown.states[0, 0, 65 - roll.LOWEST] == roll.ONSET
    assert shown.clip.tolist() == conditions.clip_values("folk", parse_key("G"), 7, (3, 4)).tolist()
    assert shown.beats[:3].tolist() == [[0, 8, 8], [1, 8, 8], [2, 8, 8]]
    assert np.flatnonzero(shown.chords[5]).tolist() == [0, 4, 7, 12, 24], "G stands on C"
    assert canvas(before, infill=(1, 40)).bars == (3,) * 40


def test_the_fullest_tracks_are_shown_beside_those_to_write() -> None:
    tracks = [Track([(480 * i, 40 + k, 240, 80) for i in range(k + 1)]) for k in range(8)]
    before = Score(480, (*tracks, Track([(0, 35, 10, 80)] * 1, is_drum=True)), end=4 * 1920)
    assert canvas(before, infill=(2, 2), tracks=(1, 2)).slots == (1, 2, 6, 7)


@pytest.mark.parametrize("ticks_per_beat", [1, 2, 3, 7, 24, 220, 1000])
def test_every_resolution_has_a_place_for_new_notes(singer: DiffusionComposer, ticks_per_beat: int) -> None:
    bar = 4 * ticks_per_beat
    before = Score(ticks_per_beat, (Track([(bar * i, 60, ticks_per_beat, 80) for i in range(4)]),), end=4 * bar)
    after = one(singer, prompt=before, infill=(2, 3), seed=1)
    new = after.tracks[0].notes
    assert timing.n_bars(after) == 4
    assert new["start"].tolist().count(0) == 1 and (new["start"] >= 3 * bar).sum() == 1
    inside = new[(new["start"] >= bar) & (new["start"] < 3 * bar)]
    assert len(inside) and (inside["start"] + inside["duration"] <= 3 * bar).all()


def test_new_bars_are_to_be_as_dense_as_those_that_stand() -> None:
    halves, sixteenths = ([(start * ticks, 60, ticks, 80) for start in range(7680 // ticks)] for ticks in (960, 120))
    for notes, expected in ((halves, 2), (sixteenths, 8)):
        before = Score(480, (Track(notes),), end=7680)
        assert canvas(before, infill=(2, 3)).clip[2] == expected == density_of(before)
        assert canvas(before, infill=(2, 3), density=4).clip[2] == 4
        assert canvas(before, infill=(1, 4)).clip[2] == 0


def test_bars_that_the_model_cannot_read_are_not_shown_and_stop_nothing(singer: DiffusionComposer) -> None:
    metres = [(0, 4, 4), (2 * 1920, 5, 8), (2 * 1920 + 1200, 3, 4), (2 * 1920 + 1200 + 3 * 1440, 4, 4)]
    notes = [(240 * k, 60 + k % 12, 240, 80) for k in range(80)]
    before = Score(480, (Track(notes),), time_signatures=tuple(TimeSignature(*m) for m in metres))
    assert timing.n_bars(before) > 10
    shown = canvas(before, infill=(5, 6))
    assert shown.first == 3 and shown.bars[:4] == (3, 3, 3, 4)
    after = one(singer, prompt=before, infill=(5, 6), seed=1)
    lines = timing.bar_starts(before)
    for part in (slice(0, 4), slice(6, None)):
        edges = lines[:-1][part][0], [*lines[:-1], lines[-1]][part][-1]
        old, new = (
            [n for n in score.tracks[0].notes.tolist() if edges[0] <= n[0] < edges[1]] for score in (before, after)
        )
        assert old == new
    with pytest.raises(RequestError, match="5/8"):
        one(singer, prompt=before, infill=(3, 4))


def test_new_notes_stand_where_their_steps_are() -> None:
    before = Score(220, (Track([(0, 60, 220, 80), (1980, 60, 220, 80)]),), time_signatures=(TimeSignature(0, 3, 4),))
    request = Request(prompt=before, infill=(2, 3))
    task = task_of(request)
    shown = canvas_of(task, request, N_PARTS, None)
    assert ticks_of(before, shown).tolist() == [55 * step for step in range(49)]
    notes = np.array([(0, 12, 62, 5), (0, 30, 64, 6)], roll.ROLL_NOTE)
    fresh = join(task, shown, notes).tracks[0].notes[1:-1]
    assert fresh[["start", "pitch", "duration"]].tolist() == [(660, 62, 275), (1650, 64, 330)]


THREE = (Track([(0, 60, 480, 80)]), Track([(0, 35, 480, 80)], is_drum=True), Track())
PIECE = Score(480, THREE, end=3840, tempos=(Tempo(0, 500_000),))
MANY = Score(480, tuple(Track([(0, 60 + k, 480, 80)]) for k in range(5)), end=3840)
BROKEN = Score(480, THREE[:1], end=3840, time_signatures=(TimeSignature(0, 4, 4), TimeSignature(1000, 3, 4)))
CANNOT = [
    ({"prompt": PIECE}, "writes no drums"),
    ({"prompt": PIECE, "infill": (1, 1), "tracks": (1,)}, "writes no drums"),
    ({"prompt": PIECE, "vary": 0.5}, "writes no drums"),
    ({"prompt": PIECE, "harmonize": (0,), "instruments": ((0, True),)}, "writes no drums"),
    ({"prompt": PIECE, "harmonize": (0,), "style": "drums"}, "a drums is written for one instrument"),
    ({"prompt": PIECE, "harmonize": (2,)}, "the tracks to harmonize have no notes"),
    ({"prompt": MANY}, "at most 4 tracks at once, not 5"),
    ({"prompt": MANY, "infill": (1, 1)}, "at most 4 tracks at once, not 5"),
    ({"prompt": MANY, "vary": 1}, "at most 4 tracks at once, not 5"),
    ({"prompt": PIECE, "harmonize": (0,), "instruments": ((0, False),) * 4}, "at most 3 voices to a melody, not 4"),
    ({"prompt": BROKEN, "vary": 0.5}, "a change of metre cuts a bar short there"),
    *(
        ({"prompt": replace(PIECE, time_signatures=(TimeSignature(0, *metre),)), **way}, f"metre {metre[0]}/{metre[1]}")
        for metre in ((5, 8), (9, 8), (3, 16))
        for way in ({"infill": (1, 1), "tracks": (0,)}, {"harmonize": (0,)})
    ),
    ({"prompt": Score(480, (Track(),)), "vary": 0.5}, "the piece has no notes"),
    ({"prompt": Score(480, (Track(),), end=1920), "infill": (1, 1)}, "the piece has no notes"),
    ({"prompt": Score(480, (Track(),))}, "the piece has no notes to continue from"),
]


@pytest.mark.parametrize(("wishes", "says"), CANNOT)
def test_what_cannot_be_done_is_told(singer: DiffusionComposer, wishes: dict[str, object], says: str) -> None:
    with pytest.raises(RequestError, match=says):
        one(singer, **wishes)


def test_voices_are_parts_that_sing_one_pitch_at_a_time() -> None:
    line = np.array([(480 * k, 60 + k, 480, 80) for k in range(8)], NOTE_DTYPE)
    chords = np.concatenate([line, np.array([(480 * k, 70 + k, 480, 80) for k in range(8)], NOTE_DTYPE)])
    piece = Score(480, (Track(line, 0), Track(chords, 52), Track(program=40), Track(program=0)), end=4 * 1920)
    cells = np.zeros((4, 4), np.bool_)
    cells[:, 2:] = True
    for style, expected in ((None, [True, False, True, False]), ("chorale", [True, False, True, True])):
        canvas = canvas_of(Task(piece, cells, style=style), Request(prompt=piece), 4, None)
        assert canvas.voices.tolist() == expected
