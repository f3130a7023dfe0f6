"""Metrics of structure on pieces put together from known bars, and against slow and plain versions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from musegen.errors import RequestError
from musegen.evaluate import structure
from musegen.score.model import Score, TimeSignature, Track
from musegen.score.ops import transpose
from tests.tiny_corpus import TICKS, tune

BAR = 4 * TICKS
MOTIFS = {
    "a": [(0, 60), (1, 62), (2, 64), (3, 65)],
    "b": [(0, 67), (2, 69)],
    "c": [(0, 60), (1, 62), (2, 64), (3, 72)],
    "d": [(0, 50)],
    "e": [(0, 51)],
    "f": [(0, 52)],
    "-": [],
}


def form(letters: str) -> Score:
    """A bar of 4/4 for each letter of MOTIFS."""
    rows = [
        (bar * BAR + beat * TICKS, pitch, TICKS, 80) for bar, name in enumerate(letters) for beat, pitch in MOTIFS[name]
    ]
    return Score(TICKS, (Track(notes=rows),))


def test_bars_are_told_apart_by_their_notes() -> None:
    assert structure.bar_ids(form("aba-c-a")).tolist() == [0, 1, 0, -4, 2, -6, 0]


def test_length_makes_another_bar_and_drums_have_none() -> None:
    short, long = [(0, 60, TICKS, 80)], [(BAR, 60, 2 * TICKS, 80)]
    assert structure.repeated_bar_rate(Score(TICKS, (Track(notes=short + long),))) == 0
    assert structure.repeated_bar_rate(Score(TICKS, (Track(notes=short + long, is_drum=True),))) == 1 / 2
    mixed = Score(TICKS, (Track(notes=short), Track(notes=[(BAR, 60, TICKS, 80)], is_drum=True)))
    assert structure.repeated_bar_rate(mixed) == 0


def test_a_bit_of_unevenness_makes_no_other_bar() -> None:
    rows = [(0, 60, TICKS, 80), (BAR + 15, 60, TICKS - 9, 80), (2 * BAR - 12, 60, TICKS, 80), (2 * BAR + 60, 62, 9, 80)]
    assert structure.bar_ids(Score(TICKS, (Track(notes=rows),))).tolist() == [0, 0, 1]


def test_self_similarity_is_the_cosine_of_onsets() -> None:
    assert structure.self_similarity(form("aaaa"), 1) == pytest.approx(1)
    assert structure.self_similarity(form("abab"), 1) == 0
    assert structure.self_similarity(form("abab"), 2) == pytest.approx(1)
    assert structure.self_similarity(form("ac"), 1) == pytest.approx(3 / 4)
    assert structure.self_similarity(form("a-a"), 1) == 0
    assert structure.self_similarity(form("a--a"), 1) == 0, "two empty bars say nothing; the other two pairs are unlike"
    assert math.isnan(structure.self_similarity(form("ab"), 2))


@pytest.mark.parametrize("lag", [1, 2, 3, 7])
def test_self_similarity_is_the_diagonal_of_the_matrix(lag: int) -> None:
    score = tune(4, bars=12, voices=2)
    sets: list[set[tuple[int, int]]] = [set() for _ in range(12)]
    for track in score.tracks:
        for start, pitch, *_ in track.notes.tolist():
            sets[start // BAR].add((start % BAR, pitch))
    cosines = [len(a & b) / math.sqrt(len(a) * len(b)) for a, b in zip(sets[:-lag], sets[lag:], strict=True)]
    assert structure.self_similarity(score, lag) == pytest.approx(np.mean(cosines))


def test_the_best_lag() -> None:
    assert (structure.best_lag(form("abdabdabd")), structure.best_self_similarity(form("abdabdabd"))) == (3, 1)
    assert math.isnan(structure.best_lag(form("a"))) and math.isnan(structure.best_self_similarity(form("a")))


@pytest.mark.parametrize(
    ("letters", "bars"),
    [("abdabd", 3), ("abdeabf", 2), ("aaa", 1), ("aaaa", 2), ("abcdef", 0), ("a", 0), ("a-ba-b", 1), ("abababa", 3),
     ("abdefabdef", 5), ("fabdeabde", 4)],
)  # fmt: skip
def test_the_longest_passage_that_comes_again(letters: str, bars: int) -> None:
    assert structure.longest_repeat(form(letters)) == bars


def test_a_transposed_passage_is_another() -> None:
    twice = form("abd").tracks[0].notes
    later = transpose(form("---abd"), 2).tracks[0].notes
    assert structure.longest_repeat(Score(TICKS, (Track(notes=[*twice.tolist(), *later.tolist()]),))) == 0


@pytest.mark.parametrize("seed", range(20))
def test_the_longest_repeated_run_is_what_trying_all_says(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ids = rng.integers(0, 2 + seed % 4, int(rng.integers(1, 60)))
    best = max(
        (n for n in range(1, len(ids) // 2 + 1) for i in range(len(ids) - 2 * n + 1)
         for j in range(i + n, len(ids) - n + 1) if (ids[i : i + n] == ids[j : j + n]).all()),
        default=0,
    )  # fmt: skip
    assert structure.longest_repeated_run(ids) == best


def test_repeated_bars() -> None:
    assert structure.repeated_bar_rate(form("abab-")) == 1 / 2
    assert structure.repeated_bar_rate(form("abd")) == 0


@pytest.mark.parametrize(
    ("letters", "rate"),
    [("aab", 0), ("aaab", 3 / 4), ("abab", 0), ("ababab", 1), ("abababa", 1), ("dababab", 6 / 7), ("abdabdabd", 1),
     ("abdeabdeabde", 1), ("abdefabdefabdef", 0), ("---a", 0), ("aaa-bbb", 1), ("abaabaab", 0), ("a", 0)],
)  # fmt: skip
def test_a_loop_is_a_unit_of_up_to_four_bars_three_times_in_a_row(letters: str, rate: float) -> None:
    assert structure.loop_rate(form(letters)) == pytest.approx(rate)


def test_bars_follow_the_metre() -> None:
    rows = [(0, 60, 99, 80), (3 * TICKS, 60, 99, 80), (6 * TICKS, 60, 99, 80), (8 * TICKS, 60, 99, 80)]
    metres = (TimeSignature(0, 3, 4), TimeSignature(6 * TICKS, 2, 4))
    assert structure.loop_rate(Score(TICKS, (Track(notes=rows),), time_signatures=metres)) == 1
    assert structure.loop_rate(Score(TICKS, (Track(notes=rows),))) == 0


def test_no_note_is_refused() -> None:
    with pytest.raises(RequestError, match="no notes"):
        structure.evaluate(Score(TICKS, (Track(),)))
