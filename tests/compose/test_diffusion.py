"""What a diffusion model of random weights writes is what was asked for; what it cannot write is told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from musegen.compose import Denoising, Piece, Progress, Request, load
from musegen.compose.autoregressive import AutoregressiveComposer
from musegen.compose.diffusion import DiffusionComposer
from musegen.decoding.filters import SamplingOptions
from musegen.errors import ModelError, RequestError
from musegen.score import timing
from musegen.score.formats import from_bytes, to_bytes
from musegen.score.model import KeySignature, Score, Tempo, TimeSignature, Track
from musegen.score.theory import Key, parse_key, scale_pitch_classes
from tests.compose.lively import lively
from tests.compose.messy import messy

FEW = Denoising(steps=3)
MOTIF = Score(480, (Track([(7, 62, 333, 80), (491, 66, 191, 33), (720, 69, 240, 90)]),), end=1000)


def one(composer: DiffusionComposer, **wishes: object) -> Score:
    return composer.compose([Request(**{"denoising": FEW, **wishes})])[0]  # type: ignore[arg-type]


def at_once(score: Score) -> int:
    """The most notes that sound together."""
    notes = np.concatenate([track.notes for track in score.tracks])
    sounding = np.zeros(score.notes_end + 1, int)
    np.add.at(sounding, notes["start"], 1)
    np.add.at(sounding, notes["start"] + notes["duration"], -1)
    return int(sounding.cumsum().max())


@pytest.mark.parametrize(
    ("meter", "style"),
    [((4, 4), "folk"), ((3, 4), "chorale"), ((2, 4), "song"), ((6, 8), "piano"), ((2, 2), "quartet"), ((4, 4), None)],
)
def test_the_frame_is_exactly_what_was_asked_for(
    painter: DiffusionComposer, meter: tuple[int, int], style: str | None
) -> None:
    bars = 3
    score = one(painter, meter=meter, style=style, bars=bars, tempo=97.5, key=parse_key("A minor"), seed=2)
    assert score.time_signatures == (TimeSignature(0, *meter),)
    assert score.tempos == (Tempo(0, round(60e6 / 97.5)),)
    assert score.key_signatures == (KeySignature(0, 0, "minor"),)
    assert timing.n_bars(score) == bars and score.end == bars * 4 * 480 * meter[0] // meter[1] >= score.notes_end
    programs = {"chorale": [52] * 4, "song": [53, 0, 0], "piano": [0, 0], "quartet": [40, 40, 41, 42]}
    assert [track.program for track in score.tracks] == programs.get(style or "folk", [73])
    assert all(len(track.notes) and track.name for track in score.tracks)
    assert score.title == f"{(style or 'folk').capitalize()} in A minor no. 2"


@pytest.mark.parametrize("bars", [1, 9, 40])
def test_pieces_shorter_and_longer_than_the_context(painter: DiffusionComposer, bars: int) -> None:
    score = one(painter, meter=(3, 4), bars=bars, seed=1)
    assert timing.n_bars(score) == bars and score.end == bars * 1440
    begun = {int(start) // 1440 for start in score.tracks[0].notes["start"]}
    assert begun == set(range(bars)), "every bar has notes"


@pytest.mark.parametrize("key", ["C", "F# minor", "Db", "B minor"])
def test_a_strict_scale_and_a_range_hold_for_every_note(painter: DiffusionComposer, key: str) -> None:
    score = one(painter, key=parse_key(key), scale="strict", pitch_range=(50, 70), bars=4, seed=3)
    pitches = set(score.tracks[0].notes["pitch"].tolist())
    assert len(pitches) > 6 and pitches <= set(range(50, 71))
    assert {pitch % 12 for pitch in pitches} <= scale_pitch_classes(parse_key(key))


def test_a_strict_scale_without_a_key_is_that_of_the_key_it_says(painter: DiffusionComposer) -> None:
    score = one(painter, scale="strict", bars=2, seed=3)
    scale = scale_pitch_classes(Key.from_signature(score.key_signatures[0]))
    assert {int(pitch) % 12 for pitch in score.tracks[0].notes["pitch"]} <= scale


@pytest.mark.parametrize("polyphony", [1, 3])
def test_polyphony_is_never_passed(painter: DiffusionComposer, polyphony: int) -> None:
    loose = one(painter, style="quartet", bars=4, seed=5)
    score = one(painter, style="quartet", bars=4, polyphony=polyphony, seed=5)
    assert at_once(loose) > polyphony == at_once(score)
    with_motif = one(painter, style="quartet", bars=4, polyphony=polyphony, motif=MOTIF, seed=5)
    assert at_once(with_motif) == polyphony


@pytest.mark.parametrize("meter", [(4, 4), (6, 8)])
def test_a_motif_stands_at_the_beginning_note_for_note(painter: DiffusionComposer, meter: tuple[int, int]) -> None:
    for seed in range(4):
        score = one(painter, motif=MOTIF, meter=meter, bars=2, instruments=((40, False), (42, False)), seed=seed)
        first = score.tracks[0].notes
        assert np.array_equal(first[:3], MOTIF.tracks[0].notes)
        assert (first["start"][3:] >= 1000).all() and len(first) > 3
        assert (score.tracks[1].notes["start"] < 1000).any(), "the others play from the beginning"
        scale = scale_pitch_classes(Key.from_signature(score.key_signatures[0]))
        assert {62 % 12, 66 % 12, 69 % 12} <= scale, "the key holds the motif"


def test_a_motif_brings_its_frame(painter: DiffusionComposer) -> None:
    frame = {"tempos": (Tempo(0, 400_000),), "time_signatures": (TimeSignature(0, 3, 4),)}
    motif = replace(MOTIF, **frame, key_signatures=(KeySignature(0, 2, "major"),))  # type: ignore[arg-type]
    score = one(painter, motif=motif, bars=2, seed=1)
    assert (score.tempos, score.time_signatures) == (motif.tempos, motif.time_signatures)
    assert score.key_signatures == motif.key_signatures


def test_the_same_seed_writes_the_same_bytes_alone_and_among_others(painter: DiffusionComposer) -> None:
    requests = [Request(bars=b, seed=seed, denoising=FEW) for b, seed in ((2, 1), (5, 2), (2, 3), (2, 2**63 - 1))]
    together = [to_bytes(score) for score in painter.compose(requests)]
    assert together == [to_bytes(painter.compose([request])[0]) for request in requests]
    notes = [tuple(painter.compose([request])[0].tracks[0].notes.tolist()) for request in requests]
    assert len(set(notes)) == 4


@pytest.mark.parametrize(
    "change",
    [
        {"style": "guitar"}, {"density": 9}, {"key": parse_key("C minor")}, {"meter": (2, 2)},
        {"chords": ("F", "G7")}, {"sampling": SamplingOptions(guidance=3)},
        {"denoising": Denoising(steps=4)}, {"denoising": Denoising(steps=3, sampler="ddpm")},
    ],
)  # fmt: skip
def test_the_model_is_told_of_everything_asked_for(painter: DiffusionComposer, change: dict[str, object]) -> None:
    wishes = {"style": "folk", "density": 2, "key": parse_key("C"), "meter": (4, 4), "chords": ("C",), "bars": 2}
    first, second = (one(painter, **{**wishes, **more}).tracks[0].notes for more in ({}, change))
    assert not np.array_equal(first, second)


def test_a_key_moves_the_piece(painter: DiffusionComposer) -> None:
    in_c, in_e = (one(painter, key=parse_key(key), pitch_range=(0, 127), bars=2).tracks[0] for key in ("C", "Eb"))
    assert np.array_equal(in_c.notes["pitch"], in_e.notes["pitch"] - 3)
    assert np.array_equal(in_c.notes["start"], in_e.notes["start"])


def test_chords_are_stored_bar_by_bar(painter: DiffusionComposer) -> None:
    score = one(painter, chords=("Dm7", "G7/B C"), meter=(3, 4), bars=3, seed=1)
    assert [(chord.time, chord.symbol) for chord in score.chords] == [
        (0, "Dm7"), (1440, "G7/B"), (1440 + 960, "C"), (2880, "Dm7"),
    ]  # fmt: skip


def test_progress_tells_every_bar_once_before_the_piece(painter: DiffusionComposer) -> None:
    requests = [Request(bars=5, seed=1, denoising=Denoising(steps=steps)) for steps in (3, 7)]
    events = list(painter.stream(requests))
    told = [(event.index, event.bars_done, event.bars) for event in events if isinstance(event, Progress)]
    assert told == [(index, bar, 5) for index in (0, 1) for bar in range(5)]
    assert [event.index for event in events if isinstance(event, Piece)] == [0, 1]
    assert isinstance(events[5], Piece) and isinstance(events[-1], Piece)


def test_what_is_written_is_what_is_read(painter: DiffusionComposer) -> None:
    score = one(painter, style="chorale", bars=3, seed=1)
    read = from_bytes(to_bytes(score))
    for old, new in zip(score.tracks, read.tracks, strict=True):
        assert np.array_equal(old.notes, new.notes), "no two notes of one pitch are on at once"


def test_a_silent_piece_is_no_piece(painter: DiffusionComposer) -> None:
    with pytest.raises(RequestError, match="seed 4: 8 drafts had no notes in the first or the last bar"):
        load("tiny-diffusion").compose([Request(bars=1, denoising=Denoising(steps=1), seed=4)])
    with pytest.raises(RequestError, match="pitches from 24 to 107, and none of them may be written; widen the range"):
        one(painter, pitch_range=(0, 20), bars=1, seed=4)
    with pytest.raises(RequestError, match="no pitch of C major lies between 61 and 61"):
        one(painter, pitch_range=(61, 61), scale="strict", key=parse_key("C"))


CANNOT = [
    ({"instruments": ((0, True),)}, "tiny-diffusion writes no drums; use the transformer"),
    ({"style": "drums"}, "writes no drums"),
    ({"instruments": ((0, False),) * 5}, "at most 4 instruments"),
    ({"meter": (5, 8)}, "the metre 5/8 has bars of 5/2 quarters"),
    ({"meter": (9, 8)}, "the metre 9/8 has bars of 9/2 quarters"),
    ({"meter": (9, 4)}, "the metre 9/4 has bars of 9 quarters"),
    ({"motif": replace(MOTIF, time_signatures=(TimeSignature(0, 9, 8),))}, "the metre 9/8"),
    ({"motif": MOTIF, "bars": 1, "meter": (2, 4)}, "the motif is longer than 1 bars"),
    ({"motif": messy(1)}, "a motif is one line of notes"),
    ({"sampling": SamplingOptions(top_k=5)}, "top_k is for models of tokens, and tiny-diffusion writes piano rolls"),
    ({"sampling": SamplingOptions(temperature=0.5)}, "temperature is for models of tokens"),
    ({"sampling": SamplingOptions(search="greedy")}, "search is for models of tokens"),
    ({"sampling": SamplingOptions(min_p=0.2)}, "min_p is for models of tokens"),
    ({"voice_leading": "strict"}, "voice_leading strict is for models of tokens"),
    ({"denoising": Denoising(sampler="fast")}, "unknown sampler 'fast': use one of "),
    ({"chords": ("C G " * 99,), "bars": 1, "meter": (4, 4)}, "198 chords do not fit a bar of 4/4"),
]


@pytest.mark.parametrize(("wishes", "says"), CANNOT, ids=[says for _, says in CANNOT])
def test_what_cannot_be_done_is_told(painter: DiffusionComposer, wishes: dict[str, object], says: str) -> None:
    with pytest.raises(RequestError, match=says):
        one(painter, **wishes)


def test_nothing_is_written_where_a_later_request_cannot_be(painter: DiffusionComposer) -> None:
    stream = painter.stream([Request(bars=1, denoising=FEW), Request(bars=1, style="drums")])
    with pytest.raises(RequestError, match="drums"):
        next(iter(stream))


def test_a_style_that_it_did_not_learn_is_refused_and_steps_have_a_range() -> None:
    narrow = DiffusionComposer("bach", lively(), {"styles": ["chorale"]}, "0" * 12)
    with pytest.raises(RequestError, match="bach knows the styles chorale, not 'folk'"):
        one(narrow, style="folk")
    with pytest.raises(RequestError, match="steps is 0; it goes from 1 to 1000"):
        Denoising(steps=0)


@pytest.mark.parametrize("denoising", [Denoising(steps=4), Denoising(sampler="heun")])
def test_models_of_tokens_refuse_what_is_of_diffusion(composer: AutoregressiveComposer, denoising: Denoising) -> None:
    name = "steps" if denoising.steps else "sampler"
    with pytest.raises(RequestError, match=f"{name} is for diffusion models, and tiny-random writes tokens"):
        composer.compose([Request(bars=1, denoising=denoising)])


def test_an_unknown_model_is_told() -> None:
    with pytest.raises(ModelError, match=r"unknown model 'nothing'; there are .*tiny-random, tiny-diffusion"):
        load("nothing")
