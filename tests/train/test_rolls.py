from __future__ import annotations

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch

from musegen import conditions, roll
from musegen.corpus.encode import encode
from musegen.errors import RequestError
from musegen.models.dit import PRIOR_ODDS, Told
from musegen.roll import OFF, ONSET, SUSTAIN
from musegen.score.model import Chord, Score, TimeSignature, Track
from musegen.tokens import STYLES
from musegen.tokens.controls import density_class
from musegen.train.distributed import HERE, Place
from musegen.train.loader import read_batches
from musegen.train.roll_pieces import RollPiece, Stretch, cut
from musegen.train.rolls import Clip, RollBatch, RollSampler, collate, draw_clip, held_out_clips, present
from tests.tiny_corpus import tune
from tests.train.rolls import CONFIG, MAJOR, PLAIN, SHAPE, piece, scale, split

MIXED = ((1, 1, 4), (6, 3, 4), (5, 4, 4), (2, 5, 8), (4, 6, 8))
"""A pickup, then stretches of several metres, one of which no roll of beats can show."""


def drawn(config: object = CONFIG, n: int = 300, **options: object) -> list[Clip]:
    """Clips of one piece of three parts."""
    source = RollPiece.of(piece(scale(2, voices=3, **options)), SHAPE.n_parts)
    rng = np.random.default_rng(0)
    return [draw_clip(source, SHAPE, config, rng) for _ in range(n)]


def equal(a: RollBatch, b: RollBatch) -> bool:
    return (a.n_targets, a.looks_twice) == (b.n_targets, b.looks_twice) and all(map(np.array_equal, a.arrays, b.arrays))


def test_a_batch_follows_from_the_seed_and_its_number() -> None:
    pieces = split(scale(0), scale(3, voices=4), scale(-2, MIXED))
    sampler = RollSampler(pieces, CONFIG, SHAPE)
    batches = [sampler.batch(step) for step in range(3)]
    assert not equal(batches[0], batches[1])
    fresh = RollSampler(pieces, CONFIG, SHAPE)
    assert equal(fresh.batch(2), batches[2]) and equal(fresh.batch(0), batches[0])
    assert not equal(RollSampler(pieces, replace(CONFIG, seed=6), SHAPE).batch(0), batches[0])
    assert sampler.rows == 8 and len(batches[0].arrays[0]) == 8


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_come_in_order_whoever_draws_them(workers: int) -> None:
    sampler = RollSampler(split(scale(0)), CONFIG, SHAPE)
    for step, batch in enumerate(islice(read_batches(sampler, 3, workers), 5), 3):
        assert equal(batch, sampler.batch(step))


def test_a_piece_has_the_stretches_that_clips_can_be_cut_from() -> None:
    source = RollPiece.of(piece(scale(0, MIXED)), SHAPE.n_parts)
    assert source.stretches == (Stretch(0, 1, 1), Stretch(1, 7, 3), Stretch(7, 12, 4), Stretch(14, 18, 3))
    assert source.opening == 1 and source.style == "folk"
    assert RollPiece.of(piece(scale(0)), SHAPE.n_parts).opening == 0
    assert RollPiece.of(piece(scale(0, ((4, 5, 8),))), SHAPE.n_parts).stretches == ()


def test_a_bar_off_the_grid_of_sixteenths_is_no_stretch_and_no_error() -> None:
    source = RollPiece.of(piece(scale(0, ((1, 8, 32), (1, 5, 32), (3, 4, 4)))), SHAPE.n_parts)
    assert source.stretches == (Stretch(2, 5, 4),) or source.stretches == (Stretch(0, 1, 1), Stretch(2, 5, 4))
    assert (np.diff(source.placed.starts)[2:] == 16).all()


def test_clips_hold_whole_bars_of_one_metre() -> None:
    source = RollPiece.of(piece(scale(0, MIXED)), SHAPE.n_parts)
    rng = np.random.default_rng(1)
    seen = set()
    for _ in range(200):
        clip = draw_clip(source, SHAPE, CONFIG, rng)
        n_beats = len(clip.beats)
        beats = 1 + int(clip.beats[:, 0].max())
        metre = conditions.METRES[int(clip.clip[3]) - 1]
        assert beats == conditions.beats_a_bar(*metre) and n_beats % beats == 0
        assert clip.beats[:, 0].tolist() == list(range(beats)) * (n_beats // beats)
        assert clip.states.shape == clip.written.shape == (4, 4 * n_beats, 84)
        assert n_beats <= SHAPE.context and len(clip.chords) == n_beats
        bars = clip.beats[::beats]
        assert set(np.diff(np.minimum(bars[:, 1], 8)).tolist()) <= {0, 1}
        seen.add((metre, n_beats // beats))
    assert {metre for metre, _ in seen} == {(1, 4), (3, 4), (4, 4), (6, 8)}
    assert {n for metre, n in seen if metre == (3, 4)} == {1, 2, 3, 4, 5}  # 16 beats are five bars of three


def test_beats_count_bars_from_the_first_whole_one_and_to_the_end() -> None:
    source = RollPiece.of(piece(scale(0, ((1, 1, 4), (12, 4, 4)))), SHAPE.n_parts)
    stretch = source.stretches[1]
    _, _, beats, _ = cut(source, stretch, 1, 5, SHAPE)
    assert beats[::4, 1].tolist() == [0, 1, 2, 3] and beats[::4, 2].tolist() == [8, 8, 8, 8]
    _, _, beats, _ = cut(source, stretch, 9, 13, SHAPE)
    assert beats[::4, 1].tolist() == [8, 8, 8, 8] and beats[::4, 2].tolist() == [3, 2, 1, 0]
    _, _, beats, _ = cut(source, source.stretches[0], 0, 1, SHAPE)
    assert beats.tolist() == [[0, 0, 8]]


def test_beginnings_and_ends_are_drawn_often() -> None:
    starts = [int(clip.beats[0, 1]) for clip in drawn(PLAIN, metres=((40, 4, 4),))]
    assert 0.08 < np.mean([start == 0 for start in starts]) < 0.22
    ends = [int(clip.beats[-1, 2]) for clip in drawn(PLAIN, metres=((40, 4, 4),))]
    assert 0.08 < np.mean([end == 0 for end in ends]) < 0.22


@pytest.mark.parametrize("fifths", [-5, -2, 0, 1, 3, 6])
def test_all_clips_stand_on_c(fifths: int) -> None:
    source = RollPiece.of(piece(scale(fifths)), SHAPE.n_parts)
    rng = np.random.default_rng(2)
    counts = np.zeros(12)
    for _ in range(10):
        states = draw_clip(source, SHAPE, CONFIG, rng).states
        counts += (states == ONSET).sum(axis=(0, 1)).reshape(7, 12).sum(axis=0)  # LOWEST is a C
    assert set(np.flatnonzero(counts).tolist()) <= set(MAJOR)
    assert counts[0] > 0.5 * counts.sum()


def test_a_clip_has_the_notes_of_its_bars() -> None:
    score = scale(0, ((12, 4, 4),), voices=1)
    source = RollPiece.of(piece(score), SHAPE.n_parts)
    states, clip, _, _ = cut(source, source.stretches[0], 3, 6, SHAPE)
    placed = roll.place(score, 1).notes
    here = placed[(placed["step"] >= 48) & (placed["step"] < 96)].copy()
    here["step"] -= 48
    assert np.array_equal(roll.notes_of(states), here)
    assert clip.tolist() == [1 + STYLES.index("folk"), 1, density_class(12, 12), 1 + conditions.METRES.index((4, 4))]


def test_chords_are_those_of_the_beats_moved_to_c() -> None:
    chords = (Chord(0, "D"), Chord(1920 + 960, "A7"), Chord(4 * 1920, "G"))
    score = replace(scale(2, ((6, 4, 4),)), chords=chords)
    source = RollPiece.of(encode(score, "folk", "folk"), SHAPE.n_parts)
    _, _, _, rows = cut(source, source.stretches[0], 1, 5, SHAPE)
    basses = [np.flatnonzero(row[12:24]).tolist() for row in rows]
    assert basses == [[0]] * 2 + [[7]] * 10 + [[5]] * 4  # C, G7, F, of which the first was said in the bar before


def test_what_is_said_is_left_out_at_times() -> None:
    clips = drawn()
    for i in range(3):
        assert 0.3 < np.mean([clip.clip[i] == 0 for clip in clips]) < 0.7
    assert all(clip.clip[3] > 0 for clip in clips)
    assert 0.35 < np.mean([clip.chords.any() for clip in clips]) < 0.65
    assert all(clip.clip.all() and clip.chords.any() for clip in drawn(PLAIN, 20))


def test_given_and_written_cells_are_those_of_the_parts_there_are() -> None:
    kinds = {"all": 0, "bars": 0, "parts": 0, "parts in bars": 0, "band": 0, "nothing": 0}
    for clip in drawn():
        written = clip.written
        assert not written[3:].any() and clip.n_parts == 3
        assert clip.n_notes == int(((clip.states == ONSET) & written).sum())
        cells = written[:3]
        bars = cells.reshape(3, -1, 16, 84)
        by_pitch, by_bar, by_part = (cells.any(axis=axes) for axes in ((0, 1), (0, 2), (1, 2)))
        if cells.all():
            kinds["all"] += 1
        elif not by_pitch.all() and by_pitch.any():
            kinds["band"] += 1
            assert by_bar.all() and by_part.all()
            assert np.array_equal(cells, np.broadcast_to(by_pitch, cells.shape))
            assert np.diff(by_pitch.astype(int)).any() and np.abs(np.diff(by_pitch.astype(int))).sum() == 1
            continue
        elif not cells.any():
            kinds["nothing"] += 1
        else:
            name = " in ".join(kind for kind, of in (("parts", by_part), ("bars", by_bar)) if not of.all())
            kinds[name] += 1
        assert (bars == bars[:, :, :1, :1]).all()  # whole bars of whole parts
        span = np.flatnonzero(by_bar.reshape(-1, 16)[:, 0])
        assert len(span) == 0 or len(span) == span[-1] - span[0] + 1
    assert 100 < kinds.pop("all") < 240  # half of them have something given
    assert kinds.pop("nothing") < 15
    assert all(count > 5 for count in kinds.values()), kinds


def test_without_masks_all_parts_are_written() -> None:
    for clip in drawn(PLAIN, 10):
        assert np.array_equal(clip.written, present(3, clip.states.shape))
        assert not clip.states[3:].any() and clip.states[:3].any(axis=(1, 2)).all()


def test_a_batch_counts_the_onsets_to_write() -> None:
    batch = RollSampler(split(scale(0), scale(4)), CONFIG, SHAPE).batch(0)
    states, written, *_ = batch.arrays
    assert batch.n_targets == int(((states == ONSET) & (written == 1)).sum()) > 50
    silent = replace(drawn(PLAIN, 1)[0], n_notes=0)
    assert collate([silent], SHAPE).n_targets == 1  # what the loss is divided by


def test_clips_are_padded_at_the_end() -> None:
    clips = [replace(clip, n_parts=clip.n_parts) for clip in drawn(n=6)]
    clips += [clip for clip in drawn(n=40) if len(clip.beats) < SHAPE.context][:2]
    batch = collate(clips, SHAPE)
    states, written, values, beats, chords, valid, parts, _ = batch.arrays
    longest = max(len(clip.beats) for clip in clips)
    assert states.shape == written.shape == (8, 4, 4 * longest, 84)
    assert valid.sum(axis=1).tolist() == [len(clip.beats) for clip in clips] and not valid.all()
    for row, clip in enumerate(clips):
        n = len(clip.beats)
        assert np.array_equal(states[row, :, : 4 * n], clip.states) and not states[row, :, 4 * n :].any()
        assert np.array_equal(written[row, :, : 4 * n], clip.written) and not written[row, :, 4 * n :].any()
        assert np.array_equal(beats[row, :n], clip.beats) and np.array_equal(chords[row, :n], clip.chords)
        assert np.array_equal(values[row], clip.clip)
    assert parts.tolist() == [[True, True, True, False]] * 8


def test_the_network_is_given_what_is_not_written() -> None:
    batch = RollSampler(split(scale(0, voices=3)), CONFIG, SHAPE).batch(1)
    x0, written, told, _ = batch.share(HERE)
    states = torch.from_numpy(batch.arrays[0])
    assert torch.equal(x0[:, :, 0], (states == ONSET).float()) and torch.equal(x0[:, :, 1], (states == SUSTAIN).float())
    assert torch.equal(told.known, 1 - written) and 0 < float(written.mean()) < 1
    assert torch.equal(told.cells, x0 * told.known) and 0 < float(told.cells.sum()) < float(x0.sum())
    assert told.clip.dtype == told.beats.dtype == torch.int64 and told.chords.dtype == torch.float32


def test_processes_share_a_batch_by_rows() -> None:
    batch = RollSampler(split(scale(0)), CONFIG, SHAPE).batch(0)
    whole = batch.share(HERE)
    for rank in range(3):
        mine = batch.share(Place(rank=rank, world=3))
        assert torch.equal(mine.x0, whole.x0[rank::3]) and torch.equal(mine.written, whole.written[rank::3])
        for name in Told.__dataclass_fields__:
            assert torch.equal(getattr(mine.told, name), getattr(whole.told, name)[rank::3])


def test_a_quarter_of_the_batches_is_seen_twice_by_all_processes_together() -> None:
    sampler = RollSampler(split(scale(0)), replace(CONFIG, batch_tokens=16), SHAPE)
    batches = [sampler.batch(step) for step in range(80)]
    twice = [batch.looks_twice for batch in batches]
    assert 10 <= sum(twice) <= 30
    assert twice == [batch.share(Place(rank=1, world=2)).looks_twice for batch in batches]


def test_log_odds_are_those_of_the_cells_to_write() -> None:
    sampler = RollSampler(split(scale(0, ((16, 4, 4),), voices=1)), replace(PLAIN, seed=3), SHAPE)
    odds = np.exp(sampler.log_odds(64))  # (P, 2, K)
    assert odds.shape == (4, 2, 84)
    clips = [clip.states[0] for clip in drawn(PLAIN, 100, metres=((16, 4, 4),))]
    tonic = np.concatenate(clips)[:, 72 - 24]
    expected = [(tonic == state).mean() / (tonic == OFF).mean() for state in (ONSET, SUSTAIN)]
    np.testing.assert_allclose(odds[0, :, 72 - 24], expected, rtol=0.2)
    assert (odds[0, :, 73 - 24] < 1e-3).all()  # out of the scale
    np.testing.assert_allclose(odds[1:], np.broadcast_to(np.reshape(PRIOR_ODDS, (2, 1)), (3, 2, 84)), rtol=1e-5)


def test_held_out_clips_share_no_bar_and_have_all_said_but_the_chords() -> None:
    source = RollPiece.of(piece(scale(1, ((22, 4, 4),))), SHAPE.n_parts)
    clips = list(held_out_clips(source, SHAPE, 100))
    assert [len(clip.beats) // 4 for clip in clips] == [4, 4, 4, 4, 4, 2]
    assert [int(clip.beats[0, 1]) for clip in clips] == [0, 4, 8, 8, 8, 8]
    assert sum(clip.n_notes for clip in clips) == len(source.placed.notes)
    for clip in clips:
        assert clip.clip.all() and not clip.chords.any()
        assert np.array_equal(clip.written, present(2, clip.states.shape))
    few = list(held_out_clips(source, SHAPE, 3))
    assert [int(clip.beats[-1, 2]) for clip in few] == [8, 6, 0] or len(few) == 3
    assert np.array_equal(few[0].states, clips[0].states) and np.array_equal(few[-1].states, clips[-1].states)
    assert list(held_out_clips(RollPiece.of(piece(scale(0, ((4, 5, 8),))), 4), SHAPE, 4)) == []


def test_shards_without_such_music_are_refused() -> None:
    with pytest.raises(RequestError, match="no pieces in train"):
        RollSampler(split(), CONFIG, SHAPE)
    with pytest.raises(RequestError, match="whole quarters"):
        RollSampler(split(scale(0, ((4, 5, 8),))), CONFIG, SHAPE).batch(0)
    drums = Score(480, (Track(tune(1).tracks[0].notes, is_drum=True),), time_signatures=(TimeSignature(0, 4, 4),))
    with pytest.raises(RequestError, match="pitched"):
        RollSampler(split(drums), CONFIG, SHAPE).batch(0)


def test_a_piece_of_more_tracks_than_parts_has_its_last_ones_in_one() -> None:
    source = RollPiece.of(piece(scale(0, voices=6)), SHAPE.n_parts)
    rng = np.random.default_rng(3)
    clip = draw_clip(source, SHAPE, PLAIN, rng)
    onsets = (clip.states == ONSET).sum(axis=(1, 2)).tolist()
    assert clip.n_parts == 4 and onsets[:3] == [16] * 3 and 32 < onsets[3] <= 48  # the lowest meet in the lowest octave
