"""Bars written anew and tracks added: what was there stays, and what is new lies where it was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musegen.compose import Request
from musegen.compose.autoregressive import AutoregressiveComposer
from musegen.compose.filling import passage_of, task_of
from musegen.errors import RequestError
from musegen.score import timing
from musegen.score.formats import to_bytes
from musegen.score.model import NOTE_DTYPE, KeySignature, Score, TimeSignature, Track, frozen
from musegen.score.theory import Key, scale_pitch_classes
from musegen.tokens import VOCABULARY, Controls, Remi
from musegen.train.examples import Example
from tests.compose.messy import messy

SEEDS = st.integers(0, 2**20)


def one(composer: AutoregressiveComposer, **wishes: object) -> Score:
    return composer.compose([Request(**wishes)])[0]  # type: ignore[arg-type]


def words(ids: Sequence[int]) -> list[str]:
    return [VOCABULARY.names[token] for token in ids]


@given(SEEDS, st.data())
@settings(max_examples=15)
def test_an_infill_changes_nothing_else(composer: AutoregressiveComposer, seed: int, data: st.DataObject) -> None:
    before = messy(seed, chords=seed % 2 == 0)
    first = data.draw(st.integers(1, 7), "first")
    last = data.draw(st.integers(first, 7), "last")
    tracks = tuple(data.draw(st.lists(st.sampled_from(range(3)), unique=True, max_size=2), "tracks"))
    after = one(composer, prompt=before, infill=(first, last), tracks=tracks, seed=seed)
    lines = timing.bar_starts(before, 7)
    start, stop = int(lines[first - 1]), int(lines[last])
    assert replace(after, tracks=before.tracks, texts=before.texts, end=before.end) == before
    assert before.end <= after.end <= max(before.end, stop)
    for k, (old, new) in enumerate(zip(before.tracks, after.tracks, strict=True)):
        if tracks and k not in tracks:
            assert old == new
            continue
        begins = old.notes["start"], new.notes["start"]
        outside = [(b < start) | (b >= stop) for b in begins]
        assert np.array_equal(old.notes[outside[0]], new.notes[outside[1]])
        written = new.notes[~outside[1]]
        assert (written["start"] + written["duration"] <= stop).all() and (written["duration"] > 0).all()
        assert replace(new, notes=old.notes, releases=old.releases) == old
        ends_before = old.notes["start"] + old.notes["duration"] < start
        silent_then = np.isin(old.releases["time"], (old.notes["start"] + old.notes["duration"])[ends_before])
        assert np.isin(old.releases[silent_then], new.releases).all()


def test_new_notes_share_no_pitch_at_once_with_others_on_their_channel(composer: AutoregressiveComposer) -> None:
    held = Track([(0, pitch, 7680, 80) for pitch in range(0, 128, 2)], channel=2)
    before = Score(480, (held, Track([(1920, 61, 480, 80)], channel=2)), end=7680)
    after = one(composer, prompt=before, infill=(1, 4), tracks=(1,), seed=3)
    new = after.tracks[1].notes
    assert len(new) and (new["pitch"] % 2 == 1).all()


def test_an_infill_is_the_same_alone_and_among_others(composer: AutoregressiveComposer) -> None:
    requests = [Request(prompt=messy(4), infill=(2, 4), seed=seed) for seed in (8, 9, 10)]
    requests.append(Request(prompt=messy(5), harmonize=(0,), instruments=((32, False),), seed=8))
    together = [to_bytes(score) for score in composer.compose(requests)]
    assert together == [to_bytes(composer.compose([request])[0]) for request in requests]
    assert len(set(together)) == 4


@given(SEEDS, st.booleans())
@settings(max_examples=8)
def test_a_harmonized_melody_stays_and_new_tracks_join_it(
    composer: AutoregressiveComposer, seed: int, keeps_all: bool
) -> None:
    before = messy(seed)
    kept = (0, 1, 2) if keeps_all else (0,)
    after = one(composer, prompt=before, harmonize=kept, instruments=((32, False), (0, True)), seed=seed)
    assert after.tracks[: len(kept)] == tuple(before.tracks[k] for k in kept)
    assert [(t.program, t.is_drum) for t in after.tracks[len(kept) :]] == [(32, False), (0, True)]
    assert all(t.name.startswith(name) for t, name in zip(after.tracks[-2:], ("Acoustic Bass", "Drums"), strict=True))
    assert timing.n_bars(after) == 7 and after.notes_end <= timing.bar_starts(before, 7)[-1]
    assert sum(len(t.notes) for t in after.tracks[len(kept) :]) > 0
    rest = {"tracks": (), "texts": (), "end": 10**6}
    assert replace(after, **rest) == replace(before, **rest)


def test_a_chorale_is_three_voices_below_the_melody(composer: AutoregressiveComposer) -> None:
    before = messy(1)
    after = one(composer, prompt=before, harmonize=(0,), seed=1)
    assert [t.name for t in after.tracks] == ["part 0", "Alto", "Tenor", "Bass"]
    assert [t.program for t in after.tracks] == [before.tracks[0].program, 52, 52, 52]
    task = task_of(Request(prompt=before, harmonize=(0,)))
    passage = passage_of(task, Controls(), 500, one_key=False)
    assert "Style_chorale" in words(composer._begin(Request(prompt=before, harmonize=(0,)), 0).ids)
    instruments = [word for word in words(passage.ids) if word.startswith("Instrument")]
    assert instruments == ["Instrument_52"] * 4, "the model is shown what it learned from"


def test_a_style_says_what_to_add(composer: AutoregressiveComposer) -> None:
    melody = Score(480, (Track([(480 * i, 72, 480, 80) for i in range(4)], program=73),))
    song = one(composer, prompt=melody, harmonize=(0,), style="song", polyphony=4, seed=1)
    assert [(t.program, t.is_drum) for t in song.tracks] == [(73, False), (0, False), (0, False)]
    assert [(t.program, t.is_drum) for t in one(composer, style="drums", bars=1, seed=1).tracks] == [(0, True)]


def test_every_bar_of_a_long_melody_is_harmonized(composer: AutoregressiveComposer) -> None:
    """The context of 128 tokens holds a few bars: the piece is written passage by passage."""
    melody = Track([(480 * i, 60 + i % 7, 480, 80) for i in range(2 * 256)], name="tune")
    before = Score(480, (melody,), time_signatures=(TimeSignature(0, 2, 4),))
    after = one(composer, prompt=before, harmonize=(0,), instruments=((48, False),), polyphony=2, seed=2)
    assert after.tracks[0] == melody and timing.n_bars(after) == 256
    assert set(after.tracks[1].notes["start"] // (16 * 960)) == set(range(16)), "some notes in every sixteen bars"


def test_passages_are_as_long_as_fits_and_meet(composer: AutoregressiveComposer) -> None:
    melody = Track([(480 * i, 60 + i % 7, 480, 80) for i in range(4 * 60)])
    task = task_of(Request(prompt=Score(480, (melody,)), harmonize=(0,)))
    written = 0
    while task.cells.any():
        passage = passage_of(task, Controls(), 400, one_key=False)
        assert len(passage.ids) <= 400
        bars = np.flatnonzero(passage.cells.any(axis=0))
        assert passage.first + bars[0] == written and (np.diff(bars) == 1).all()
        assert bars[0] == min(written, bars[0]) and (written == 0 or bars[0] >= min(written, len(bars)) > 0)
        written += len(bars)
        cells = task.cells.copy()
        cells[:, :written] = False
        task = replace(task, cells=cells)
    assert written == 60


def test_an_infill_is_shown_what_stands_on_both_sides() -> None:
    before = Score(480, (Track([(480 * i, 60 + i % 7, 480, 80) for i in range(4 * 100)]),))
    task = task_of(Request(prompt=before, infill=(50, 53)))
    passage = passage_of(task, Controls(), 384, one_key=False)
    n_bars = passage.cells.shape[1]
    left = int(passage.cells[0].argmax())
    right = n_bars - left - 4
    assert passage.first + left == 49 and passage.total == 100 - passage.first
    assert left > right > 3 and 200 < len(passage.ids) <= 384
    at_start = passage_of(task_of(Request(prompt=before, infill=(1, 4))), Controls(), 384, one_key=False)
    assert at_start.cells.shape[1] >= 24, "all the room goes to the right"


def test_prompts_look_like_what_the_model_is_trained_on() -> None:
    """An encoded mask up to FILL: the very tokens, and their attributes, that an example of training has there."""
    before = messy(3, chords=True)
    task = task_of(Request(prompt=before, infill=(3, 4), tracks=(0,)))
    passage = passage_of(task, Controls(style="song"), 2000, one_key=False)
    tokenizer = Remi()
    whole = tokenizer.encode(replace(task.piece, chords=before.chords), Controls(style="song"), written=7,
                             masked=passage.cells)  # fmt: skip
    example = Example(whole, tokenizer.attributes(whole))
    assert np.array_equal(example.ids[: len(passage.ids)], passage.ids)
    assert words(passage.ids).count("MASK") == 2 and words(passage.ids)[-1] == "FILL"
    assert not any("Chord" in word for word in words(passage.ids_without_chords))


def test_more_tracks_than_the_model_knows_are_reduced_around_those_to_write(composer: AutoregressiveComposer) -> None:
    tracks = [Track([(480 * i, 40 + k, 240, 80) for i in range(k + 1, 24)], channel=k % 9) for k in range(20)]
    before = Score(480, tuple(tracks))
    after = one(composer, prompt=before, infill=(2, 2), tracks=(19,), seed=1)
    assert after.tracks[:19] == before.tracks[:19]
    task = task_of(Request(prompt=before, infill=(2, 2), tracks=(19,)))
    passage = passage_of(task, Controls(), 2000, one_key=False)
    assert 19 in passage.slots and len(passage.slots) == 15
    with pytest.raises(RequestError, match="at most 16 tracks can be written at once"):
        one(composer, prompt=before, infill=(2, 2))


def test_a_strict_scale_follows_the_keys_of_the_piece(composer: AutoregressiveComposer) -> None:
    keys = (KeySignature(0, 2, "major"), KeySignature(3840, -4, "major"))
    notes = [(480 * i, 62, 480, 80) for i in range(16)]
    before = Score(480, (Track(notes),), time_signatures=(TimeSignature(0, 4, 4),), key_signatures=keys)
    new = one(composer, prompt=before, infill=(1, 4), scale="strict", seed=5).tracks[0].notes
    for key, inside in zip(keys, (new["start"] < 3840, new["start"] >= 3840), strict=True):
        assert inside.any()
        assert {int(p) % 12 for p in new["pitch"][inside]} <= scale_pitch_classes(Key.from_signature(key))


def test_range_and_polyphony_hold_for_what_is_new(composer: AutoregressiveComposer) -> None:
    before = messy(2)
    after = one(composer, prompt=before, harmonize=(0,), instruments=((32, False),), pitch_range=(40, 50), seed=2)
    assert len(after.tracks[1].notes) and set(after.tracks[1].notes["pitch"]) <= set(range(40, 51))
    melody = Score(480, (Track([(480 * i, 72, 480, 80) for i in range(8)]),))
    lower = one(composer, prompt=melody, harmonize=(0,), instruments=((32, False),), polyphony=2, seed=2).tracks[1]
    starts, ends = lower.notes["start"], lower.notes["start"] + lower.notes["duration"]
    assert len(starts) and (starts[1:] >= ends[:-1]).all(), "one at a time beside the melody"


PIECE = messy(0)


@pytest.mark.parametrize(
    ("wishes", "says"),
    [
        ({"infill": (1, 2)}, "need a piece to work on"),
        ({"harmonize": (0,)}, "need a piece to work on"),
        ({"prompt": PIECE, "infill": (3, 2)}, "bars 3 to 2 are not there to write anew; the piece has 1 to 7"),
        ({"prompt": PIECE, "infill": (7, 8)}, "the piece has 1 to 7"),
        ({"prompt": PIECE, "infill": (1, 1), "harmonize": (0,)}, "infill and harmonize do not go together"),
        ({"prompt": PIECE, "infill": (1, 1), "from_bar": 3}, "infill and from_bar do not go together"),
        ({"prompt": PIECE, "tracks": (0,)}, "say which bars"),
        ({"prompt": PIECE, "infill": (1, 1), "tracks": (3,)}, "tracks is 3; the piece has the tracks 0 to 2"),
        ({"prompt": PIECE, "harmonize": (5,)}, "harmonize is 5"),
        ({"prompt": PIECE, "infill": (1, 1), "instruments": ((0, False),)}, "keeps the metre, the tempo"),
    ],
)
def test_what_cannot_be_asked_for(wishes: dict[str, object], says: str) -> None:
    with pytest.raises(RequestError, match=says):
        Request(**wishes)  # type: ignore[arg-type]


def test_what_cannot_be_done(composer: AutoregressiveComposer) -> None:
    silent = Score(480, (Track(), Track(frozen([(0, 60, 480, 80)], NOTE_DTYPE))))
    with pytest.raises(RequestError, match="have no notes"):
        one(composer, prompt=silent, harmonize=(0,))
    folk_only = AutoregressiveComposer("fiddler", composer._network, 512, {"styles": ["folk"]}, "0" * 12)
    with pytest.raises(RequestError, match="fiddler knows the styles folk, not 'chorale'"):
        one(folk_only, prompt=PIECE, harmonize=(0,))
    with pytest.raises(RequestError, match="a folk is written for one instrument"):
        one(composer, prompt=PIECE, harmonize=(0,), style="folk")
