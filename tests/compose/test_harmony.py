"""Chords that were asked for: how they are read, where they are said, and that they stay with the piece."""

from __future__ import annotations

import numpy as np
import pytest

from musegen.compose import Request
from musegen.compose.autoregressive import AutoregressiveComposer
from musegen.compose.continuation import continuation
from musegen.compose.filling import passage_of, task_of
from musegen.compose.harmony import merged, parse_chords
from musegen.errors import RequestError
from musegen.score.model import Chord, Score, Track
from musegen.tokens import VOCABULARY, Controls, Remi
from musegen.tokens.vocabulary import METRES
from tests.compose.messy import messy

FOUR, THREE, SIX = (METRES.index(metre) for metre in ((4, 4), (3, 4), (6, 8)))


def places(score: Score, bar: int = 1920) -> list[tuple[int, int, str]]:
    return [(chord.time // bar, chord.time % bar, chord.symbol) for chord in score.chords]


@pytest.mark.parametrize(
    ("text", "metre", "positions"),
    [("C", FOUR, [0]), ("C G", FOUR, [0, 48]), ("C G C", FOUR, [0, 24, 72]), ("C G C F", FOUR, [0, 24, 48, 72]),
     ("C G", THREE, [0, 48]), ("C G", SIX, [0, 36]), ("C G C F G", FOUR, [0, 19, 38, 58, 77]), ("C C", FOUR, [0])],
)  # fmt: skip
def test_the_chords_of_a_bar_are_spread_over_its_beats(text: str, metre: int, positions: list[int]) -> None:
    assert [position for position, _, _ in parse_chords([text]).of_bar(0, metre)] == positions


def test_chords_are_repeated_and_said_where_they_change() -> None:
    rows = parse_chords(["C", "C G7/B", "G7/B"]).over(4, [FOUR] * 6)
    c, g7 = VOCABULARY.id("Chord", 1) - VOCABULARY.blocks["Chord"].start, 1 + 14 * 7 + 2
    assert rows.tolist() == [[4, 0, c, -1], [5, 48, g7, 11], [7, 0, c, -1], [8, 48, g7, 11]]


@pytest.mark.parametrize(
    ("chords", "says"),
    [(("C", "H7"), "unknown chord 'H7' in bar 2; write a root .* m7b5"), (("C", " "), "bar 2 of the chords is empty"),
     (("Cfoo",), "unknown chord 'Cfoo'")],
)  # fmt: skip
def test_what_is_no_chord_is_refused(chords: tuple[str, ...], says: str) -> None:
    with pytest.raises(RequestError, match=says):
        Request(chords=chords)


def test_a_bar_too_short_for_its_chords_is_refused(composer: AutoregressiveComposer) -> None:
    with pytest.raises(RequestError, match="7 chords do not fit a bar of 1/16"):
        composer.compose([Request(chords=("C D E F G A B",), meter=(1, 16), bars=1)])


def test_a_new_piece_says_its_chords_in_their_places(composer: AutoregressiveComposer) -> None:
    motif = Score(480, (Track([(0, 62, 480, 80)]),), end=480)
    for wishes in ({}, {"motif": motif}):
        request = Request(chords=("Dm7", "G7/B C"), meter=(4, 4), bars=3, seed=4, **wishes)  # type: ignore[arg-type]
        (score,) = composer.compose([request])
        assert places(score) == [(0, 0, "Dm7"), (1, 0, "G7/B"), (1, 960, "C"), (2, 0, "Dm7")]
    assert score.tracks[0].notes[0]["pitch"] == 62


@pytest.mark.parametrize("has_chords", [True, False])
def test_a_continuation_says_them_in_its_new_bars_alone(composer: AutoregressiveComposer, has_chords: bool) -> None:
    own = (Chord(0, "G"),) if has_chords else ()
    piece = Score(480, (Track([(480 * i, 60 + i % 7, 480, 80) for i in range(8)]),), chords=own)
    request = Request(prompt=piece, chords=("Am", "E7"), bars=3, seed=1)
    (score,) = composer.compose([request])
    assert places(score)[len(own) :] == [(2, 0, "Am"), (3, 0, "E7"), (4, 0, "Am")] and score.chords[: len(own)] == own
    passage = continuation(request, Controls(), 1000)
    assert len(Remi().grid(passage.ids).chords) > 0, "the bars before say theirs, or what their notes tell"
    assert len(Remi().grid(continuation(Request(prompt=piece), Controls(), 1000).ids).chords) == 0
    (alone,) = composer.compose([Request(prompt=piece, chords=("Am", "E7"), bars=3, seed=1, only_new=True)])
    assert places(alone) == [(0, 0, "Am"), (1, 0, "E7"), (2, 0, "Am")]


@pytest.mark.parametrize("has_chords", [True, False])
def test_an_infill_says_them_in_its_bars_and_what_is_there_around_them(
    composer: AutoregressiveComposer, has_chords: bool
) -> None:
    own = (Chord(0, "G"), Chord(3840, "Em")) if has_chords else ()
    piece = Score(480, (Track([(480 * i, 60 + i % 7, 480, 80) for i in range(24)]),), chords=own)
    request = Request(prompt=piece, infill=(3, 4), chords=("Am",), seed=1)
    (score,) = composer.compose([request])
    if has_chords:
        assert places(score) == [(0, 0, "G"), (2, 0, "Am"), (4, 0, "Em")]
    else:
        assert places(score) == [(2, 0, "Am"), (4, 0, "N")], "what comes after is not known"
    passage = passage_of(task_of(request), Controls(), 1000, one_key=False)
    said = Remi().grid(passage.ids).chords
    assert [row.tolist() for row in said if 2 <= row[0] < 4] == [[2, 0, 1 + 14 * 9 + 1, -1]]
    assert (said[:, 0] < 2).any() and (said[:, 0] >= 4).any()
    plain = passage_of(task_of(Request(prompt=piece, infill=(3, 4))), Controls(), 1000, one_key=False)
    assert len(Remi().grid(plain.ids).chords) == len(own)


def test_a_harmonization_follows_them_in_every_bar_and_metre(composer: AutoregressiveComposer) -> None:
    piece = messy(3)
    request = Request(prompt=piece, harmonize=(0,), chords=("C", "F G"), seed=1)
    (score,) = composer.compose([request])
    passage = passage_of(task_of(request), Controls(), 2000, one_key=False)
    said = Remi().grid(passage.ids).chords
    assert np.unique(said[:, 0]).tolist() == list(range(7)) and len(said) == len(score.chords) == 4 + 3 * 2
    shown = [VOCABULARY.names[token] for token in passage.ids]
    assert shown.count("MASK") == 3 * 7, "track by track, since the bars have chords"


def test_merged_chords_go_on_as_they_were() -> None:
    own, new = (Chord(0, "C"), Chord(50, "F"), Chord(120, "G")), (Chord(40, "Am"),)
    assert merged(own, new, 40, 100, 200) == (Chord(0, "C"), Chord(40, "Am"), Chord(100, "F"), Chord(120, "G"))
    assert merged(own, new, 40, 120, 200) == (Chord(0, "C"), Chord(40, "Am"), Chord(120, "G"))
    assert merged((), new, 40, 200, 200) == new
