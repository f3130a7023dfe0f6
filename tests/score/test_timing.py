import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musegen.score.model import NOTE_DTYPE, KeySignature, Score, Tempo, TimeSignature, Track, frozen
from musegen.score.timing import (
    bar_of,
    bar_starts,
    key_at,
    metre_at,
    n_bars,
    seconds,
    tempo_at,
    tick_to_second,
)
from tests.strategies import scores


def sounding(*notes: tuple[int, int], metres: tuple[TimeSignature, ...] = (), end: int = 0) -> Score:
    """A score of (start, duration) notes, 480 ticks a quarter."""
    rows = frozen([(start, 60, duration, 64) for start, duration in notes], NOTE_DTYPE)
    return Score(480, (Track(rows),), time_signatures=metres, end=end)


CHANGING = (TimeSignature(0, 3, 4), TimeSignature(2880, 6, 8), TimeSignature(4320 + 480, 2, 4))


def test_bars_without_a_metre_are_of_four_quarters() -> None:
    assert bar_starts(sounding((0, 1920 * 3))).tolist() == [0, 1920, 3840, 5760]


def test_bars_follow_the_metres_and_a_change_begins_one() -> None:
    score = sounding((0, 100), metres=CHANGING)
    # two bars of 3/4, one whole of 6/8 and a short one, then 2/4 without end
    assert bar_starts(score, 7).tolist() == [0, 1440, 2880, 4320, 4800, 5760, 6720, 7680]
    assert bar_starts(score, 3).tolist() == [0, 1440, 2880, 4320]
    assert bar_starts(score, 0).tolist() == [0]
    assert [bar_of(score, tick) for tick in (0, 1439, 1440, 4319, 4320, 4799, 4800, 7680)] == [0, 0, 1, 2, 3, 3, 4, 7]


def test_a_first_metre_that_comes_late_and_two_at_once() -> None:
    late = sounding(metres=(TimeSignature(960, 3, 4),))
    assert bar_starts(late, 3).tolist() == [0, 960, 2400, 3840]
    twice = sounding(metres=(TimeSignature(0, 3, 4), TimeSignature(0, 2, 4)))
    assert bar_starts(twice, 2).tolist() == [0, 960, 1920]
    assert metre_at(twice, 0) == TimeSignature(0, 2, 4)


@pytest.mark.parametrize(
    ("notes", "end", "bars"),
    [
        ([], 0, 0),
        ([], 1920, 1),
        ([], 1921, 2),
        ([(0, 1920)], 0, 1),
        ([(0, 1920)], 9600, 1),
        ([(0, 1935)], 0, 1),
        ([(0, 1936)], 0, 2),
        ([(1920, 0)], 0, 2),
        ([(1920, 10)], 0, 2),
        ([(0, 0)], 0, 1),
        ([(1900, 10), (100, 2000)], 0, 2),
    ],
)
def test_how_many_bars_hold_the_notes(notes: list[tuple[int, int]], end: int, bars: int) -> None:
    assert n_bars(sounding(*notes, end=end)) == bars


@given(scores(max_tracks=2, max_notes=5))
def test_bars_rise_and_hold_every_note(score: Score) -> None:
    starts = bar_starts(score)
    assert starts[0] == 0
    assert len(starts) == n_bars(score) + 1
    assert (np.diff(starts) > 0).all()
    changes = [metre.time for metre in score.time_signatures if metre.time < starts[-1]]
    assert set(changes) <= set(starts.tolist())
    if score.n_notes:
        assert score.notes_end <= starts[-1] + score.ticks_per_beat // 32
        assert max(int(t.notes["start"].max()) for t in score.tracks if len(t.notes)) < starts[-1]


@given(scores(max_tracks=0), st.integers(0, 40))
def test_bar_of_agrees_with_the_bar_table(score: Score, wanted: int) -> None:
    starts = bar_starts(score, wanted)
    for bar, (first, following) in enumerate(zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True)):
        assert bar_of(score, first) == bar_of(score, following - 1) == bar


def test_a_metre_far_away_costs_nothing() -> None:
    far = sounding((0, 480), metres=(TimeSignature(0, 1, 32), TimeSignature(2**31 - 1, 4, 4)))
    assert len(bar_starts(far)) == n_bars(far) + 1 == 9


def test_seconds_by_several_tempi() -> None:
    tempos = (Tempo(480, 1_000_000), Tempo(960, 250_000))
    score = Score(480, tempos=tempos, end=1440)
    assert tick_to_second(score, [0, 240, 480, 720, 960, 1440]).tolist() == [0, 0.25, 0.5, 1.0, 1.5, 1.75]
    assert seconds(score) == 1.75
    assert tick_to_second(score, np.zeros((2, 0))).shape == (2, 0)


def test_what_is_in_force() -> None:
    score = Score(
        tempos=(Tempo(10, 400_000),),
        time_signatures=(TimeSignature(10, 3, 8),),
        key_signatures=(KeySignature(10, 2, "major"), KeySignature(20, -1, "minor")),
    )
    assert tempo_at(score, 9).qpm == 120
    assert tempo_at(score, 10).qpm == 150
    assert metre_at(score, 9) == TimeSignature(0, 4, 4)
    assert metre_at(score, 11) == TimeSignature(10, 3, 8)
    assert key_at(score, 9) is None
    assert key_at(score, 19) == KeySignature(10, 2, "major")
    assert key_at(score, 20) == KeySignature(20, -1, "minor")
