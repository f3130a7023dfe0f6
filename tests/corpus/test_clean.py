from __future__ import annotations

from dataclasses import replace

import pytest

from musegen.corpus.clean import CleanConfig, level, off_grid_share, reason_to_drop
from musegen.corpus.sources import SOURCES, Source, source_of
from musegen.score.model import NOTE_DTYPE, Score, TimeSignature, Track, frozen
from musegen.tokens.vocabulary import STYLES
from tests.tiny_corpus import tune


def score_of(rows: list[tuple[int, int, int, int]], **fields: object) -> Score:
    return Score(480, (Track(frozen(rows, NOTE_DTYPE)),), **fields)


def shaken(score: Score, ticks: int) -> Score:
    """Every onset later by so much."""
    notes = score.tracks[0].notes.copy()
    notes["start"] += ticks
    return score.with_tracks([replace(score.tracks[0], notes=frozen(notes, NOTE_DTYPE))])


METRES = tuple(TimeSignature(480 * i, 4, 4) for i in range(12))


@pytest.mark.parametrize(
    ("score", "reason"),
    [
        (tune(1), None),
        (Score(480, end=9000), "no notes"),
        (tune(1, bars=3), "shorter than 4 bars"),
        (tune(1, bars=41), "longer than 40 bars"),
        (score_of([(1920 * 10 * i, 60 + i, 480, 80) for i in range(4)]), "nearly silent"),
        (score_of([(480 * i, 60 + (i == 3), 480, 80) for i in range(40)]), "one pitch for ever"),
        (shaken(tune(1), 10), "more than 15% of notes off the grid of 24 a quarter"),
        (tune(1, voices=17), "more than 16 tracks"),
        (replace(tune(1), time_signatures=(TimeSignature(0, 9, 4),)), "a metre that tokens cannot hold"),
        (replace(tune(1), time_signatures=METRES), "broken metre: its changes cut bars short"),
    ],
)
def test_each_reason(score: Score, reason: str | None) -> None:
    assert reason_to_drop(score, Source(), CleanConfig(max_bars=40)) == reason


def test_a_pickup_is_no_broken_metre() -> None:
    pickup = replace(tune(1), time_signatures=(TimeSignature(0, 1, 4), TimeSignature(480, 4, 4)))
    assert reason_to_drop(pickup, Source(), CleanConfig()) is None


def test_off_grid_notes_are_counted_but_neither_drums_nor_lengths() -> None:
    score = score_of([(0, 60, 473, 80), (481, 60, 480, 80), (960, 60, 160, 80), (1450, 60, 480, 80)])
    assert off_grid_share(score) == 0.25
    assert off_grid_share(score.with_tracks(replace(t, is_drum=True) for t in score.tracks)) == 0.0
    assert off_grid_share(Score()) == 0.0


def test_velocities_that_say_nothing_are_levelled() -> None:
    def velocities(score: Score) -> list[int]:
        return sorted(set(score.tracks[0].notes["velocity"].tolist()))

    two = score_of([(0, 60, 480, 70), (480, 62, 480, 90)])
    assert velocities(level(two, Source())) == [70, 90]
    assert velocities(level(two, Source(levelled_up_to=2))) == [84]
    assert velocities(level(tune(1), Source())) == [84]


def test_sources_name_styles_of_the_vocabulary_their_licence_and_whom_to_credit() -> None:
    assert {"lieder", "mutopia", "chopin", "polish", "quartets", "gmd"} <= set(SOURCES)
    for source in SOURCES.values():
        assert source.style in (*STYLES, None) and source.licence and source.credit
    assert not {"jsb", "openewld", "pop909"} & set(SOURCES), "data to measure on are no source of shipped weights"
    assert source_of("mine", "jazz") == Source(style="jazz", told_by_tracks=False)
