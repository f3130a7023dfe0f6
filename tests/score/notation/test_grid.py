from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musegen.errors import FileFormatError
from musegen.score.model import NOTE_DTYPE, Score, TimeSignature, Track, frozen
from musegen.score.notation.grid import Timeline, timeline
from musegen.score.notation.places import SPELLABLE
from tests.strategies import scores


def played(
    *notes: tuple[int, int], resolution: int = 480, metres: tuple[tuple[int, int, int], ...] = (), end: int = 0
) -> Score:
    """A score of (start, duration) notes."""
    rows = [(start, 60, duration, 80) for start, duration in notes]
    return Score(
        resolution,
        (Track(frozen(rows, NOTE_DTYPE)),),
        time_signatures=tuple(TimeSignature(*m) for m in metres),
        end=end,
    )


def quarters(lines: Timeline) -> list[tuple[Fraction, Fraction]]:
    pairs = zip(lines.starts[0].tolist(), lines.stops[0].tolist(), strict=True)
    return [(Fraction(a, lines.quarter), Fraction(b, lines.quarter)) for a, b in pairs]


@given(st.lists(st.tuples(st.integers(0, 12), st.sampled_from(sorted(SPELLABLE)), st.integers(1, 40)), max_size=12))
@settings(max_examples=100)
def test_what_can_be_written_is_written_exactly(notes: list[tuple[int, int, int]]) -> None:
    resolution = 16 * 9 * 5 * 7 * 11 * 13 * 17 * 19
    rows = [(beat * resolution, size * resolution // part) for beat, part, size in notes]
    lines = timeline(played(*rows, resolution=resolution))
    assert lines.rounded == 0
    assert sorted(quarters(lines)) == sorted((Fraction(b), b + Fraction(n, d)) for b, d, n in notes)


def test_a_played_beat_goes_to_32nds_or_triplets_whichever_is_nearer() -> None:
    straight = timeline(played((3, 236), (243, 234)))
    assert quarters(straight) == [(0, Fraction(1, 2)), (Fraction(1, 2), 1)]
    assert straight.rounded == 2
    swung = timeline(played((3, 318), (323, 154)))
    assert quarters(swung) == [(0, Fraction(2, 3)), (Fraction(2, 3), 1)]


def test_keys_let_go_a_little_early_leave_no_rest() -> None:
    gated = timeline(played((0, 455), (480, 227), (720, 227), (960, 911), (1920, 480)))
    assert quarters(gated) == [(0, 1), (1, Fraction(3, 2)), (Fraction(3, 2), 2), (2, 4), (4, 5)]
    short = timeline(played((0, 121), (480, 480)))
    assert quarters(short) == [(0, Fraction(1, 4)), (1, 2)], "a staccato note stays short"


def test_other_beats_stay_exact_beside_a_played_one() -> None:
    lines = timeline(played((0, 96), (96, 96), (483, 470)))
    assert quarters(lines)[:2] == [(0, Fraction(1, 5)), (Fraction(1, 5), Fraction(2, 5))]
    assert lines.rounded == 1


def test_no_played_note_vanishes() -> None:
    lines = timeline(played((3, 5), (1917, 2)))
    assert all(stop > start for start, stop in quarters(lines))
    assert lines.stops[0].max() <= lines.bars[-1].stop


def test_a_tuplet_that_the_resolution_misses_is_a_tuplet_still() -> None:
    ends = [round(i * 480 / 7) for i in range(8)]
    lines = timeline(played(*((a, b - a) for a, b in pairwise(ends))))
    assert quarters(lines) == [(Fraction(i, 7), Fraction(i + 1, 7)) for i in range(7)]
    assert lines.rounded == 0
    thirds = timeline(played((0, 341), (341, 342), (683, 341), resolution=1024))
    assert quarters(thirds) == [(Fraction(i, 3), Fraction(i + 1, 3)) for i in range(3)]


@given(scores(max_tracks=2))
@settings(max_examples=50)
def test_bars_follow_each_other_and_hold_every_note(score: Score) -> None:
    lines = timeline(score)
    assert all(before.stop == after.start for before, after in pairwise(lines.bars))
    for track, starts, stops in zip(score.tracks, lines.starts, lines.stops, strict=True):
        assert ((stops > starts) == (track.notes["duration"] > 0)).all()
        assert not len(stops) or stops.max() <= lines.bars[-1].stop


def bars(score: Score) -> list[tuple[int, Fraction, str, bool]]:
    """(number, quarters, metre shown, counted) of each bar."""
    lines = timeline(score)
    return [
        (
            bar.number, Fraction(bar.length, lines.quarter),
            f"{bar.signature.numerator}/{bar.signature.denominator}" if bar.shows_signature else "", bar.counted,
        )
        for bar in lines.bars
    ]  # fmt: skip


def test_a_pickup_shows_the_metre_that_follows() -> None:
    assert bars(played((0, 480 + 1920), metres=((0, 1, 4), (480, 4, 4)))) == [(0, 1, "4/4", False), (1, 4, "", True)]


def test_a_longer_first_bar_is_a_metre_like_any_other() -> None:
    score = played((0, 2400 + 1920), metres=((0, 5, 4), (2400, 4, 4)))
    assert bars(score) == [(1, 5, "5/4", True), (2, 4, "4/4", True)]


def test_a_pickup_that_no_metre_can_say_is_a_bar_cut_short() -> None:
    score = played((0, 160 + 1920), metres=((0, 4, 4), (160, 4, 4)))
    assert bars(score) == [(0, Fraction(1, 3), "4/4", False), (1, 4, "", True)]


def test_the_parts_of_a_split_bar_show_no_metre() -> None:
    metres = ((0, 4, 4), (1920, 3, 4), (3360, 1, 4), (3840, 4, 4))
    assert bars(played((0, 5760), metres=metres)) == [
        (1, 4, "4/4", True),
        (2, 3, "", True),
        (2, 1, "", False),
        (3, 4, "", True),
    ]


def test_metres_that_fill_no_bar_are_shown() -> None:
    metres = ((0, 4, 4), (1920, 3, 4), (3360, 4, 4))
    assert [bar[2] for bar in bars(played((0, 5280), metres=metres))] == ["4/4", "3/4", "4/4"]


def test_the_last_bar_ends_with_the_piece_where_that_can_be_written() -> None:
    assert [bar[1] for bar in bars(played((0, 1920 + 1440)))] == [4, 3]
    assert [bar[1] for bar in bars(played((0, 1920 + 1441)))] == [4, 4]


def test_too_many_bars_are_refused_at_once() -> None:
    with pytest.raises(FileFormatError, match="too many for sheet music"):
        timeline(Score(480, end=2**40))


def test_ends_a_tick_early_do_not_undo_a_quintuplet() -> None:
    lines = timeline(played(*((96 * k, 95) for k in range(5)), (480, 479)))
    assert quarters(lines) == [*((Fraction(k, 5), Fraction(k + 1, 5)) for k in range(5)), (1, 2)]
    assert lines.rounded == 6
