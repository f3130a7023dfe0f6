"""Variations: 0 is the piece itself, 1 a new one of its frame, and between them some or a little of it is new."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from musegen.compose import Denoising, Request
from musegen.compose.autoregressive import AutoregressiveComposer
from musegen.compose.diffusion import DiffusionComposer
from musegen.errors import RequestError
from musegen.score import timing
from musegen.score.formats import to_bytes
from musegen.score.model import Chord, KeySignature, Score, Tempo, TimeSignature, Track
from tests.compose.messy import messy

Engine = AutoregressiveComposer | DiffusionComposer
MELODY = [(480 * i, 60 + 2 * (i % 5), 480, 70 + i) for i in range(24)]
PIECE = Score(
    480,
    (Track(MELODY, program=73, name="Flöte"), Track(name="silent"), Track([(0, 48, 9 * 1440, 60)], program=32)),
    tempos=(Tempo(0, 500_001), Tempo(1000, 400_000)),
    time_signatures=(TimeSignature(0, 3, 4),),
    key_signatures=(KeySignature(0, 0, "major"),),
    chords=(Chord(0, "C"),),
    title="Tune",
    end=8 * 1440,
)


def varied(engine: Engine, piece: Score, strength: float, **wishes: object) -> Score:
    if isinstance(engine, DiffusionComposer):
        wishes = {"denoising": Denoising(steps=4), **wishes}
    return engine.compose([Request(prompt=piece, vary=strength, **wishes)])[0]  # type: ignore[arg-type]


@pytest.fixture(params=["composer", "painter"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each of the two engines."""
    found: Engine = request.getfixturevalue(request.param)
    return found


def test_strength_0_is_the_piece_itself(engine: Engine) -> None:
    for before in (PIECE, messy(0)):
        after = varied(engine, before, 0)
        assert after.tracks == before.tracks
        assert replace(after, texts=before.texts) == before
        assert '"seed"' in after.texts[-1].text, "it says how it was made"


@pytest.mark.parametrize("strength", [0.5, 1])
def test_the_frame_stays_and_the_notes_change(engine: Engine, strength: float) -> None:
    after = varied(engine, PIECE, strength, seed=2)
    assert timing.n_bars(after) == timing.n_bars(PIECE) and after.notes_end <= 9 * 1440
    assert replace(after, tracks=PIECE.tracks, texts=PIECE.texts, end=PIECE.end) == PIECE
    assert len(after.tracks) == 3 and after.tracks[1] == PIECE.tracks[1], "a silent track stays silent"
    for old, new in zip(PIECE.tracks, after.tracks, strict=True):
        assert replace(new, notes=old.notes) == old
    assert not np.array_equal(after.tracks[0].notes, PIECE.tracks[0].notes)


def test_each_seed_is_another_variation_and_the_same_again(engine: Engine) -> None:
    few = Denoising(steps=4) if isinstance(engine, DiffusionComposer) else Denoising()
    requests = [Request(prompt=PIECE, vary=0.5, seed=seed, denoising=few) for seed in (1, 2)]
    first, second = (to_bytes(score) for score in engine.compose(requests))
    assert first != second == to_bytes(engine.compose(requests[1:])[0])


@pytest.mark.parametrize(("strength", "n_new"), [(0.01, 0), (0.3, 3), (0.5, 4), (1, 9)])
def test_a_model_of_tokens_writes_a_share_of_the_bars(
    composer: AutoregressiveComposer, strength: float, n_new: int
) -> None:
    before = messy(3, bars=9)
    after = varied(composer, before, strength, seed=4, polyphony=2)
    lines = timing.bar_starts(before, 9)

    def by_bar(score: Score) -> list[list[list[tuple[int, ...]]]]:
        bars = [np.searchsorted(lines, track.notes["start"], side="right") - 1 for track in score.tracks]
        return [
            [track.notes[bar == k].tolist() for track, bar in zip(score.tracks, bars, strict=True)] for k in range(9)
        ]

    changed = sum(old != new for old, new in zip(by_bar(before), by_bar(after), strict=True))
    assert changed == n_new


def test_a_diffusion_model_goes_farther_the_stronger(painter: DiffusionComposer) -> None:
    """Even random weights leave a piece alone in which there is hardly any noise."""
    grid = Score(480, (Track([(480 * i, 60 + i % 7, 480, 84) for i in range(16)]),))

    def kept(strength: float) -> int:
        notes = varied(painter, grid, strength, seed=3).tracks[0].notes
        old = {(note["start"], note["pitch"]) for note in grid.tracks[0].notes}
        return len(old & {(note["start"], note["pitch"]) for note in notes})

    least, some, all_new = kept(0.02), kept(0.4), kept(1)
    assert least >= 8 > 2 * all_new and least >= some >= all_new, (least, some, all_new)


def test_chords_that_are_asked_for_are_stored(engine: Engine) -> None:
    after = varied(engine, PIECE, 1, chords=("F", "G7"), seed=1)
    assert [chord.symbol for chord in after.chords][:8] == ["F", "G7"] * 4
    assert after.chords[1].time == 1440


def test_chords_lead_a_diffusion_model(painter: DiffusionComposer) -> None:
    without = replace(PIECE, chords=())
    one, two, none = (varied(painter, each, 1, seed=1, **more) for each, more in (
        (without, {"chords": ("F",)}), (without, {"chords": ("A",)}), (without, {}),
    ))  # fmt: skip
    own = varied(painter, replace(PIECE, chords=(Chord(0, "F"),)), 1, seed=1)
    notes = [tuple(score.tracks[0].notes.tolist()) for score in (one, two, none)]
    assert len(set(notes)) == 3
    assert tuple(own.tracks[0].notes.tolist()) == notes[0], "the piece's own chords are told as those asked for"


def test_range_and_scale_hold(painter: DiffusionComposer) -> None:
    after = varied(painter, PIECE, 1, scale="strict", pitch_range=(50, 80), seed=1)
    pitches = np.concatenate([track.notes["pitch"] for track in after.tracks])
    assert set(pitches.tolist()) <= set(range(50, 81)) and set((pitches % 12).tolist()) <= {0, 2, 4, 5, 7, 9, 11}


@pytest.mark.parametrize(
    ("wishes", "says"),
    [
        ({"vary": 0.5}, "vary need a piece to work on"),
        ({"prompt": PIECE, "vary": 1.5}, "vary is 1.5; it goes from 0 to 1"),
        ({"prompt": PIECE, "vary": float("nan")}, "vary is nan"),
        ({"prompt": PIECE, "vary": 0, "infill": (1, 2)}, "infill and vary do not go together"),
        ({"prompt": PIECE, "vary": 0, "from_bar": 2}, "vary and from_bar do not go together"),
        ({"prompt": PIECE, "vary": 0, "harmonize": (0,)}, "harmonize and vary do not go together"),
        ({"prompt": PIECE, "vary": 0, "tracks": (0,)}, "tracks names the tracks of an infill"),
        ({"prompt": PIECE, "vary": 0, "meter": (3, 4)}, "keeps the metre"),
    ],
)
def test_what_cannot_be_asked_for(wishes: dict[str, object], says: str) -> None:
    with pytest.raises(RequestError, match=says):
        Request(**wishes)  # type: ignore[arg-type]


def test_a_piece_without_notes_cannot_be_varied(engine: Engine) -> None:
    with pytest.raises(RequestError, match="the piece has no notes"):
        varied(engine, Score(480, (Track(),), end=1920), 1)


def test_nothing_is_written_where_a_later_request_cannot_be(composer: AutoregressiveComposer) -> None:
    wrong = Request(prompt=PIECE, vary=0, denoising=Denoising(steps=4))
    with pytest.raises(RequestError, match="steps is for diffusion models"):
        next(iter(composer.stream([Request(prompt=PIECE, vary=0), wrong])))
