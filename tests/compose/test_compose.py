"""Whatever the weights, a piece is what was asked for: the tests use random ones."""

from dataclasses import replace

import numpy as np
import pytest

from musegen.compose import Piece, Progress, Request
from musegen.compose.autoregressive import AutoregressiveComposer
from musegen.decoding.filters import SamplingOptions
from musegen.errors import RequestError
from musegen.score import timing
from musegen.score.formats import to_bytes
from musegen.score.model import CONTROL_DTYPE, KeySignature, Score, Tempo, Text, TimeSignature, Track, frozen
from musegen.score.theory import Key, parse_key, scale_pitch_classes


def one(composer: AutoregressiveComposer, **wishes: object) -> Score:
    return composer.compose([Request(**wishes)])[0]  # type: ignore[arg-type]


@pytest.mark.parametrize(("meter", "bars"), [((6, 8), 5), ((3, 4), 2), ((5, 8), 3), ((2, 2), 1)])
def test_bars_and_metre_are_exact(composer: AutoregressiveComposer, meter: tuple[int, int], bars: int) -> None:
    score = one(composer, meter=meter, bars=bars, seed=1)
    assert [(m.numerator, m.denominator) for m in score.time_signatures] == [meter]
    assert timing.n_bars(score) == bars
    assert score.end == timing.bar_starts(score, bars)[-1]
    assert score.n_notes > 0


@pytest.mark.parametrize("key", ["D major", "C# minor", "Bb major", "E minor"])
def test_a_strict_scale_holds_every_pitch(composer: AutoregressiveComposer, key: str) -> None:
    wanted = parse_key(key)
    score = one(composer, key=wanted, meter=(4, 4), bars=3, scale="strict", seed=2)
    assert Key.from_signature(score.key_signatures[0]) == wanted
    pitches = {int(p) % 12 for track in score.tracks for p in track.notes["pitch"]}
    assert pitches <= scale_pitch_classes(wanted)


def test_a_strict_scale_keeps_the_key_that_the_model_chose(composer: AutoregressiveComposer) -> None:
    score = one(composer, bars=3, scale="strict", seed=5)
    key = Key.from_signature(score.key_signatures[0])
    assert {int(p) % 12 for p in score.tracks[0].notes["pitch"]} <= scale_pitch_classes(key)


def test_range_polyphony_tempo_and_instruments(composer: AutoregressiveComposer) -> None:
    score = one(
        composer, meter=(4, 4), bars=3, pitch_range=(60, 72), polyphony=2, tempo=97.5, seed=3,
        instruments=((40, False), (0, False), (0, True)),
    )  # fmt: skip
    assert [(t.program, t.is_drum) for t in score.tracks] == [(40, False), (0, False), (0, True)]
    assert [t.name for t in score.tracks] == ["Violin", "Acoustic Grand Piano", "Drums"]
    assert score.tempos == (Tempo(0, round(60e6 / 97.5)),)
    pitched = np.concatenate([t.notes for t in score.tracks if not t.is_drum])
    assert pitched["pitch"].min() >= 60 and pitched["pitch"].max() <= 72
    sounding = np.zeros(score.end + 1, int)
    np.add.at(sounding, pitched["start"], 1)
    np.add.at(sounding, pitched["start"] + pitched["duration"], -1)
    assert sounding.cumsum().max() <= 2


def test_a_piece_does_not_depend_on_its_neighbours(composer: AutoregressiveComposer) -> None:
    alone = to_bytes(one(composer, meter=(4, 4), bars=2, seed=11))
    together = composer.compose([Request(meter=(4, 4), bars=2, seed=seed) for seed in range(11, 16)])
    assert to_bytes(together[0]) == alone
    assert len({to_bytes(score) for score in together}) == 5


@pytest.mark.parametrize("search", ["greedy", "beam"])
def test_every_search_ends(composer: AutoregressiveComposer, search: str) -> None:
    options = SamplingOptions(search=search, beams=2)  # type: ignore[arg-type]
    score = one(composer, meter=(2, 4), bars=1, key=parse_key("C"), tempo=90, sampling=options)
    assert timing.n_bars(score) == 1
    assert to_bytes(score) == to_bytes(
        one(composer, meter=(2, 4), bars=1, key=parse_key("C"), tempo=90, sampling=options)
    )


def test_progress_comes_before_the_piece(composer: AutoregressiveComposer) -> None:
    events = list(composer.stream([Request(meter=(2, 4), bars=3, seed=1)]))
    assert [e.bars_done for e in events[:-1] if isinstance(e, Progress)] == [0, 1, 2]
    assert isinstance(events[-1], Piece) and events[-1].index == 0


MOTIF = Score(480, (Track([(0, 62, 480, 80), (480, 66, 240, 80), (720, 69, 240, 80), (960, 74, 960, 80)]),), end=1920)


def test_a_motif_stands_at_the_beginning_note_for_note(composer: AutoregressiveComposer) -> None:
    for seed in range(6):
        score = one(composer, motif=MOTIF, bars=3, seed=seed, instruments=((40, False), (42, False)))
        first = score.tracks[0].notes
        assert np.array_equal(first[first["start"] < 1920], MOTIF.tracks[0].notes)
        assert timing.n_bars(score) == 3
        assert Key.from_signature(score.key_signatures[0]).tonic_pc in range(12)
        key = Key.from_signature(score.key_signatures[0])
        assert {62 % 12, 66 % 12, 69 % 12} <= scale_pitch_classes(key), "the key holds the motif"


def test_a_motif_that_ends_inside_a_bar_and_rests(composer: AutoregressiveComposer) -> None:
    motif = Score(480, (Track([(0, 62, 480, 80)]),), end=1200)
    for seed in range(6):
        notes = one(composer, motif=motif, bars=2, seed=seed).tracks[0].notes
        assert notes[0]["pitch"] == 62 and (notes["start"][1:] >= 1200).all()


def test_a_motif_off_the_grid_is_still_itself(composer: AutoregressiveComposer) -> None:
    motif = Score(480, (Track([(7, 62, 333, 80), (491, 66, 191, 33)]),), end=960)
    notes = one(composer, motif=motif, bars=1, seed=1).tracks[0].notes
    assert np.array_equal(notes[notes["start"] < 960], motif.tracks[0].notes)


def prompt() -> Score:
    melody = Track(
        [(480 * i + 3 * (i % 2), 60 + 2 * (i % 5), 470, 77) for i in range(8)], program=73, name="Flöte", channel=4,
        controls=frozen([(0, 7, 100), (960, 64, 127), (1500, 64, 0)], CONTROL_DTYPE), lyrics=(Text(480, "la"),),
    )  # fmt: skip
    bass = Track([(1920 * i, 40 + i, 1900, 60) for i in range(2)], program=32, name="Bass")
    silent = Track(name="remarks", texts=(Text(0, "nothing here"),))
    return Score(
        480, (melody, silent, bass), tempos=(Tempo(0, 500_001), Tempo(1000, 400_000)),
        time_signatures=(TimeSignature(0, 4, 4),), key_signatures=(KeySignature(0, -1, "major"),),
        markers=(Text(0, "A"),), title="A prompt",
    )  # fmt: skip


def test_a_continuation_leaves_what_was_there(composer: AutoregressiveComposer) -> None:
    before = prompt()
    for seed in range(5):
        after = one(composer, prompt=before, bars=3, seed=seed)
        assert timing.n_bars(after) == 5 and after.end == 5 * 1920
        for old, new in zip(before.tracks, after.tracks, strict=True):
            assert np.array_equal(new.notes[new.notes["start"] < 3840], old.notes)
            assert replace(new, notes=old.notes) == old
        same = replace(after, tracks=before.tracks, texts=before.texts, end=before.end)
        assert same == before
        assert sum(len(t.notes) for t in after.tracks) > before.n_notes


def test_only_the_new_bars(composer: AutoregressiveComposer) -> None:
    whole = one(composer, prompt=prompt(), bars=2, seed=4)
    new = one(composer, prompt=prompt(), bars=2, seed=4, only_new=True)
    assert new.n_notes == whole.n_notes - prompt().n_notes and new.end == 2 * 1920


def test_going_on_from_a_bar_drops_what_follows_it(composer: AutoregressiveComposer) -> None:
    after = one(composer, prompt=prompt(), bars=1, from_bar=2, seed=4)
    assert timing.n_bars(after) == 2
    assert np.array_equal(after.tracks[0].notes[:4], prompt().tracks[0].notes[:4])
    with pytest.raises(RequestError, match="it goes from 2 to 3"):
        one(composer, prompt=prompt(), bars=1, from_bar=9)


def test_a_long_prompt_is_seen_from_its_last_bars(composer: AutoregressiveComposer) -> None:
    long = Score(480, (Track([(240 * i, 60 + i % 7, 240, 80) for i in range(800)]),))
    after = one(composer, prompt=long, bars=1, seed=1)
    assert timing.n_bars(after) == 101
    assert np.array_equal(after.tracks[0].notes[:800], long.tracks[0].notes)


@pytest.mark.parametrize(
    ("wishes", "says"),
    [
        ({"bars": 0}, "bars is 0; it goes from 1 to 256"),
        ({"tempo": 5}, "tempo is 5; it goes from 20 to 320"),
        ({"style": "zzz"}, "unknown style 'zzz'; the styles are folk"),
        ({"scale": "loose"}, "it is free or strict"),
        ({"pitch_range": (70, 60)}, "must go upwards"),
        ({"only_new": True}, "need a piece to continue"),
        ({"prompt": Score(), "motif": MOTIF}, "give one of them"),
        ({"prompt": Score(), "tempo": 90}, "keeps the metre, the tempo and the tracks"),
        ({"instruments": ((0, True), (0, True))}, "drums are one track"),
        ({"instruments": ((0, False),) * 16}, "at most 15 pitched"),
    ],
)
def test_what_cannot_be_asked_for(wishes: dict[str, object], says: str) -> None:
    with pytest.raises(RequestError, match=says):
        Request(**wishes)  # type: ignore[arg-type]


def test_what_cannot_be_done(composer: AutoregressiveComposer) -> None:
    with pytest.raises(RequestError, match="no notes to continue"):
        one(composer, prompt=Score())
    with pytest.raises(RequestError, match="longer than 1 bars"):
        one(composer, motif=replace(MOTIF, end=5000), bars=1)
    with pytest.raises(RequestError, match="one line"):
        one(composer, motif=MOTIF.with_tracks(MOTIF.tracks * 2), bars=4)
    with pytest.raises(RequestError, match="no pitch of C major"):
        one(composer, key=parse_key("C"), scale="strict", pitch_range=(61, 61))
    with pytest.raises(RequestError, match="eight quarters"):
        one(composer, meter=(12, 4))
