from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musegen.corpus.chords import BAR, BEAT, HALF, estimate_chords, segment
from musegen.score.model import NOTE_DTYPE, Chord, Score, TimeSignature, Track, frozen
from musegen.tokens import Remi
from musegen.tokens.harmony import chord_symbol, parse_chord
from musegen.tokens.vocabulary import PITCH_CLASSES, QUALITIES

BEAT_TICKS = 480
BAR_TICKS = 4 * BEAT_TICKS

TONES = {
    "": (0, 4, 7), "m": (0, 3, 7), "7": (0, 4, 7, 10), "maj7": (0, 4, 7, 11), "m7": (0, 3, 7, 10), "dim": (0, 3, 6),
    "dim7": (0, 3, 6, 9), "m7b5": (0, 3, 6, 10), "aug": (0, 4, 8), "sus4": (0, 5, 7), "mmaj7": (0, 3, 7, 11),
}  # fmt: skip


def score_of(*tracks: list[tuple[int, int, int]], metre: tuple[int, int] = (4, 4), drums: bool = False) -> Score:
    """Tracks of (start, pitch, duration) in ticks."""
    made = tuple(
        Track(frozen([(start, pitch, duration, 80) for start, pitch, duration in notes], NOTE_DTYPE), is_drum=drums)
        for notes in tracks
    )
    return Score(BEAT_TICKS, made, time_signatures=(TimeSignature(0, *metre),))


def block(bar: int, root: int, quality: str, bass: int | None = None) -> list[tuple[int, int, int]]:
    """A chord on each beat of a bar above its bass."""
    low = 36 + (root if bass is None else bass) % 12
    pitches = [low, *(60 + (root + tone) % 12 for tone in TONES[quality])]
    return [(bar * BAR_TICKS + beat * BEAT_TICKS, pitch, BEAT_TICKS) for beat in range(4) for pitch in pitches]


def symbols(score: Score) -> list[str]:
    return [chord.symbol for chord in estimate_chords(score)]


@pytest.mark.parametrize("quality", TONES)
@pytest.mark.parametrize("root", range(12))
def test_names_block_chords(root: int, quality: str) -> None:
    assert estimate_chords(score_of(block(0, root, quality))) == (Chord(0, PITCH_CLASSES[root] + quality),)


def test_names_a_progression_where_it_changes() -> None:
    chords = [(0, ""), (9, "m"), (2, "m7"), (7, "7"), (0, "")]
    score = score_of([note for bar, chord in enumerate(chords) for note in block(bar, *chord)])
    assert estimate_chords(score) == tuple(
        Chord(bar * BAR_TICKS, symbol) for bar, symbol in enumerate(["C", "Am", "Dm7", "G7", "C"])
    )


def test_follows_a_change_on_every_beat_of_a_chorale() -> None:
    voices = [(48, 55, 64, 72), (53, 57, 65, 72), (55, 59, 62, 74), (48, 55, 64, 72)] * 2
    notes = [(beat * BEAT_TICKS, pitch, BEAT_TICKS) for beat, chord in enumerate(voices) for pitch in chord]
    found = [(chord.time // BEAT_TICKS, chord.symbol) for chord in estimate_chords(score_of(notes))]
    assert found == [(0, "C"), (1, "F"), (2, "G"), (3, "C"), (5, "F"), (6, "G"), (7, "C")]


def test_hears_an_alberti_bass_as_one_chord_a_bar() -> None:
    figure = {"C": (48, 55, 52, 55), "F": (48, 57, 53, 57), "G7": (47, 55, 53, 55)}
    notes = []
    for bar, name in enumerate(("C", "G7", "C", "F", "C")):
        notes += [(bar * BAR_TICKS + eighth * 240, figure[name][eighth % 4], 240) for eighth in range(8)]
        notes.append((bar * BAR_TICKS, {"C": 76, "G7": 74, "F": 81}[name], BAR_TICKS))
    found = [(c.time / BAR_TICKS, c.symbol.partition("/")[0]) for c in estimate_chords(score_of(notes))]
    assert found == [(0, "C"), (1, "G7"), (2, "C"), (3, "F"), (4, "C")]


def test_gives_a_tune_alone_the_primary_chords_it_implies() -> None:
    bars = [(60, 64, 67, 64), (65, 69, 72, 69), (67, 71, 74, 71), (72, 67, 64, 60)]
    notes = [
        ((4 * bar + beat) * BEAT_TICKS, pitch, BEAT_TICKS)
        for bar, pitches in enumerate(bars)
        for beat, pitch in enumerate(pitches)
    ]
    assert estimate_chords(score_of(notes)) == tuple(
        Chord(bar * BAR_TICKS, symbol) for bar, symbol in enumerate(["C", "F", "G", "C"])
    )


def test_writes_a_slash_where_the_bass_is_another_chord_tone() -> None:
    score = score_of(block(0, 0, "") + block(1, 0, "", bass=4) + block(2, 7, "", bass=11) + block(3, 0, ""))
    assert symbols(score) == ["C", "C/E", "G/B", "C"]


def test_a_tune_alone_has_no_bass() -> None:
    tune = [(beat * BEAT_TICKS, pitch, BEAT_TICKS) for beat, pitch in enumerate((64, 67, 64, 67, 64, 67, 64, 67))]
    assert not any("/" in symbol for symbol in symbols(score_of(tune)))


def test_silence_is_no_chord() -> None:
    assert estimate_chords(Score(BEAT_TICKS, end=2 * BAR_TICKS)) == (Chord(0, "N"),)
    assert symbols(score_of(block(4, 2, "m"))) == ["N", "Dm"]
    assert symbols(score_of(block(0, 2, "m") + block(8, 2, "m"))) == ["Dm", "N", "Dm"]
    assert estimate_chords(Score()) == ()


def test_does_not_hear_drums() -> None:
    music = score_of(block(0, 0, "") + block(1, 5, ""))
    beats = score_of([(beat * BEAT_TICKS, 38 + beat % 5, 120) for beat in range(8)], drums=True)
    assert estimate_chords(music.with_tracks(music.tracks + beats.tracks)) == estimate_chords(music)
    assert symbols(beats) == ["N"]


@pytest.mark.parametrize(
    ("metre", "levels"),
    [
        ((4, 4), [BAR, BEAT, HALF, BEAT]),
        ((2, 2), [BAR, BEAT, HALF, BEAT]),
        ((3, 4), [BAR, BEAT, BEAT]),
        ((2, 4), [BAR, HALF]),
        ((6, 8), [BAR, HALF]),
        ((12, 8), [BAR, BEAT, HALF, BEAT]),
        ((9, 8), [BAR, BEAT, BEAT]),
        ((3, 8), [BAR]),
        ((5, 8), [BAR, BEAT, BEAT, BEAT, BEAT]),
        ((3, 2), [BAR, BEAT, HALF, BEAT, HALF, BEAT]),
    ],
)
def test_segments_are_the_beats_of_the_metre(metre: tuple[int, int], levels: list[int]) -> None:
    cut = segment(score_of([(0, 60, 1)], metre=metre))
    assert cut is not None
    assert cut.levels.tolist() == levels
    bar = BAR_TICKS * metre[0] // metre[1]
    assert cut.starts.tolist() == [bar * beat // len(levels) for beat in range(len(levels) + 1)]


def test_a_pickup_is_a_short_bar() -> None:
    score = score_of([(0, 67, BEAT_TICKS), *((BEAT_TICKS, pitch, BAR_TICKS) for pitch in (48, 64, 67, 72))])
    score = replace(score, time_signatures=(TimeSignature(0, 1, 4), TimeSignature(BEAT_TICKS, 4, 4)))
    cut = segment(score)
    assert cut is not None
    assert cut.levels.tolist() == [BAR, BAR, BEAT, HALF, BEAT]
    assert symbols(score) == ["C"]


NOTES = st.lists(
    st.tuples(st.integers(0, 4 * BAR_TICKS), st.integers(40, 80), st.integers(0, 2 * BAR_TICKS)), max_size=30
)


@settings(deadline=None)
@given(st.lists(NOTES, max_size=3), st.integers(-40, 40), st.sampled_from([(4, 4), (3, 4), (6, 8), (7, 8)]))
def test_any_music_has_sayable_changes_that_move_with_it(
    tracks: list[list[tuple[int, int, int]]], semitones: int, metre: tuple[int, int]
) -> None:
    score = score_of(*tracks, metre=metre)
    moved = score_of(*([(start, p + semitones, d) for start, p, d in notes] for notes in tracks), metre=metre)
    chords = estimate_chords(score)
    assert chords == estimate_chords(score)
    assert [c.time for c in chords][:1] == [0][: len(chords)]
    assert all(a.time < b.time and a.symbol != b.symbol for a, b in pairwise(chords))
    words = [parse_chord(chord.symbol) for chord in chords]
    assert None not in words
    expected = [(c.time, shifted(word, semitones)) for c, word in zip(chords, words, strict=True) if word is not None]
    assert [(c.time, c.symbol) for c in estimate_chords(moved)] == expected


def shifted(word: tuple[int, int], semitones: int) -> str:
    """The symbol of Chord and Bass values that many semitones higher."""
    chord, bass = word
    if chord == 0:
        return "N"
    states = 12 * len(QUALITIES)
    return chord_symbol(
        1 + (chord - 1 + semitones * len(QUALITIES)) % states, -1 if bass < 0 else (bass + semitones) % 12
    )


def test_tokens_say_all_that_it_finds() -> None:
    score = score_of([note for bar, chord in enumerate([(0, ""), (9, "m"), (7, "7")]) for note in block(bar, *chord)])
    chords = estimate_chords(score)
    tokenizer = Remi()
    decoded = tokenizer.decode(tokenizer.encode(replace(score, chords=chords)))
    assert [chord.symbol for chord in decoded.chords] == [chord.symbol for chord in chords] == ["C", "Am", "G7"]


def test_long_notes_count_in_every_beat_in_which_they_sound() -> None:
    cut = segment(score_of([(0, 60, BAR_TICKS)]))
    assert cut is not None
    assert cut.origin == 60
    np.testing.assert_allclose(cut.chroma[:, 0], [2, 1, 1, 1])
    assert cut.chroma[:, 1:].sum() == 0
