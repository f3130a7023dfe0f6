"""Note values and tuplets, in eighths of a quarter where a quarter has 256 units."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musegen.score.notation.beams import beams_of
from musegen.score.notation.metre import group_sizes, metre
from musegen.score.notation.rhythm import Piece, Value, divide, spell_bar, value_of

QUARTER = 256 * 3 * 5 * 7


def units(quarters: float | Fraction) -> int:
    exact = Fraction(quarters).limit_denominator(1000) * QUARTER
    assert exact.denominator == 1
    return int(exact)


def lengths(meter: str, start: float, stop: float, *, rest: bool = False) -> list[float]:
    numerator, denominator = map(int, meter.split("/"))
    tree = metre(numerator, denominator, QUARTER).tree
    return [(b - a) / QUARTER for a, b in divide(tree, QUARTER, units(start), units(stop), rest=rest)]


def spelled(meter: str, *events: tuple[float | Fraction, float | Fraction]) -> list[Piece]:
    numerator, denominator = map(int, meter.split("/"))
    division = metre(numerator, denominator, QUARTER)
    pairs = [(units(a), units(b)) for a, b in events]
    return spell_bar(division, QUARTER, pairs, 0, division.tree.stop)[0]


def in_a_row(*durations: Fraction | float) -> list[tuple[Fraction, Fraction]]:
    events, at = [], Fraction(0)
    for duration in durations:
        length = Fraction(duration).limit_denominator(1000)
        events.append((at, at + length))
        at += length
    return events


@pytest.mark.parametrize(
    ("meter", "start", "stop", "expected"),
    [
        ("4/4", 0, 4, [4]),
        ("4/4", 0, 3, [3]),
        ("4/4", 1, 4, [3]),
        ("4/4", 1, 3, [2]),
        ("4/4", 0, 2.5, [2, 0.5]),
        ("4/4", 0, 3.5, [3.5]),
        ("4/4", 0.5, 4, [1.5, 2]),
        ("4/4", 0.5, 1.5, [1]),
        ("4/4", 1.5, 2.5, [0.5, 0.5]),
        ("4/4", 1, 2.5, [1, 0.5]),
        ("4/4", 1.5, 3, [0.5, 1]),
        ("4/4", 0.5, 2, [1.5]),
        ("4/4", 0.25, 0.75, [0.5]),
        ("4/4", 0.75, 1.25, [0.25, 0.25]),
        ("2/2", 1, 3, [2]),
        ("3/4", 0, 3, [3]),
        ("3/4", 1, 3, [2]),
        ("3/4", 0.5, 2.5, [0.5, 1.5]),
        ("3/4", 1.5, 3, [1.5]),
        ("6/8", 0, 3, [3]),
        ("6/8", 0, 2, [1.5, 0.5]),
        ("6/8", 1, 2, [0.5, 0.5]),
        ("6/8", 0, 1, [1]),
        ("6/8", 0.5, 1.5, [1]),
        ("12/8", 0, 4.5, [3, 1.5]),
        ("9/8", 1.5, 4.5, [3]),
        ("5/8", 0, 2.5, [1.5, 1]),
        ("7/8", 0, 3.5, [2, 1.5]),
        ("5/4", 0, 5, [3, 2]),
    ],
)
def test_notes_hide_no_border_that_convention_shows(
    meter: str, start: float, stop: float, expected: list[float]
) -> None:
    assert lengths(meter, start, stop) == expected


@pytest.mark.parametrize(
    ("meter", "start", "stop", "expected"),
    [
        ("4/4", 1, 3, [1, 1]),
        ("4/4", 1, 4, [1, 2]),
        ("4/4", 0, 3, [2, 1]),
        ("4/4", 0.5, 1.5, [0.5, 0.5]),
        ("4/4", 0.25, 1, [0.25, 0.5]),
        ("4/4", 0, 0.75, [0.75]),
        ("3/4", 1, 3, [1, 1]),
        ("6/8", 0, 1, [1]),
        ("6/8", 0.5, 1.5, [0.5, 0.5]),
        ("6/8", 0.5, 3, [0.5, 0.5, 1.5]),
    ],
)
def test_rests_show_every_beat(meter: str, start: float, stop: float, expected: list[float]) -> None:
    assert lengths(meter, start, stop, rest=True) == expected


def test_values_have_two_dots_at_most() -> None:
    assert value_of(units(1), QUARTER) == Value(-2, 0)
    assert value_of(units(1.5), QUARTER) == Value(-2, 1)
    assert value_of(units(3.5), QUARTER) == Value(-1, 2)
    assert value_of(units(8), QUARTER) == Value(1, 0)
    assert value_of(units(1.25), QUARTER) is None
    assert value_of(units(Fraction(1, 3)), QUARTER) is None
    assert value_of(units(3.75), QUARTER) is None, "three dots"


@pytest.mark.parametrize(
    ("meter", "sizes"),
    [("5/8", (3, 2)), ("7/8", (2, 2, 3)), ("8/8", (4, 4)), ("11/8", (2, 3, 3, 3)), ("3/8", (3,)), ("6/4", (3, 3))],
)
def test_beats_fall_into_groups(meter: str, sizes: tuple[int, ...]) -> None:
    numerator, denominator = map(int, meter.split("/"))
    assert group_sizes(numerator, denominator) == sizes


@given(
    meter=st.tuples(st.integers(1, 24), st.sampled_from([1, 2, 4, 8, 16, 32])),
    data=st.data(),
    rest=st.booleans(),
)
@settings(max_examples=200)
def test_pieces_follow_each_other_and_each_is_one_value(
    meter: tuple[int, int], data: st.DataObject, *, rest: bool
) -> None:
    tree = metre(*meter, 256).tree
    grain = 8
    start = data.draw(st.integers(0, tree.length // grain - 1))
    stop = data.draw(st.integers(start + 1, tree.length // grain))
    pieces = divide(tree, 256, start * grain, stop * grain, rest=rest)
    assert pieces[0][0] == start * grain and pieces[-1][1] == stop * grain
    assert all(before[1] == after[0] for before, after in pairwise(pieces))
    assert all(value_of(last - first, 256) is not None for first, last in pieces)


# ---- tuplets -------------------------------------------------------------------------------------------------

THIRD = Fraction(1, 3)


def numbers(pieces: list[Piece]) -> list[tuple[int, int] | None]:
    return [(p.tuplet.number, p.tuplet.normal) if p.tuplet else None for p in pieces]


def test_three_in_a_beat_are_eighths_of_a_triplet() -> None:
    pieces = spelled("2/4", *in_a_row(THIRD, THIRD, THIRD, 1))
    assert [p.value for p in pieces] == [Value(-3, 0)] * 3 + [Value(-2, 0)]
    assert numbers(pieces) == [(3, 2)] * 3 + [None]


def test_swung_eighths_are_a_quarter_and_an_eighth() -> None:
    pieces = spelled("2/4", *in_a_row(2 * THIRD, THIRD, 1))
    assert [p.value for p in pieces[:2]] == [Value(-2, 0), Value(-3, 0)]


def test_three_over_two_beats_are_quarters_under_one_bracket() -> None:
    pieces = spelled("4/4", *in_a_row(2 * THIRD, 2 * THIRD, 2 * THIRD, 2))
    assert [p.value for p in pieces[:3]] == [Value(-2, 0)] * 3
    assert len({p.tuplet for p in pieces[:3]}) == 1
    assert len(pieces) == 4


def test_three_over_a_bar_are_halves() -> None:
    pieces = spelled("4/4", *in_a_row(4 * THIRD, 4 * THIRD, 4 * THIRD))
    assert [p.value for p in pieces] == [Value(-1, 0)] * 3


def test_a_note_held_into_a_triplet_is_tied_at_the_beat() -> None:
    pieces = spelled("2/4", *in_a_row(1 + THIRD, THIRD, THIRD))
    assert [p.value for p in pieces] == [Value(-2, 0)] + [Value(-3, 0)] * 3
    assert [p.event for p in pieces] == [0, 0, 1, 2]


def test_six_in_a_beat_are_two_triplets_of_16ths() -> None:
    pieces = spelled("2/4", *in_a_row(*[THIRD / 2] * 6, 1))
    assert {p.value for p in pieces[:6]} == {Value(-4, 0)}
    assert len({p.tuplet for p in pieces[:6]}) == 2


def test_a_mixed_triplet_keeps_one_bracket() -> None:
    pieces = spelled("2/4", *in_a_row(THIRD, THIRD, THIRD / 2, THIRD / 2, 1))
    assert [p.value.size for p in pieces] == [-3, -3, -4, -4, -2]
    assert len({p.tuplet for p in pieces[:4]}) == 1


@pytest.mark.parametrize(("number", "normal", "size"), [(5, 4, -4), (7, 4, -4)])
def test_other_numbers_in_a_beat(number: int, normal: int, size: int) -> None:
    pieces = spelled("1/4", *in_a_row(*[Fraction(1, number)] * number))
    assert numbers(pieces) == [(number, normal)] * number
    assert {p.value for p in pieces} == {Value(size, 0)}


def test_five_in_a_dotted_beat_stand_for_three_eighths() -> None:
    pieces = spelled("3/8", *in_a_row(*[Fraction(3, 10)] * 5))
    assert numbers(pieces) == [(5, 3)] * 5
    assert {p.value for p in pieces} == {Value(-3, 0)}


def test_a_silence_in_a_triplet_is_a_rest_of_the_triplet() -> None:
    pieces = spelled("1/4", (0, THIRD))
    assert [(p.event, p.value) for p in pieces] == [(0, Value(-3, 0)), (None, Value(-2, 0))]
    assert numbers(pieces) == [(3, 2)] * 2


# ---- beams ---------------------------------------------------------------------------------------------------


def beams(meter: str, *durations: float | Fraction) -> list[tuple[str, ...]]:
    numerator, denominator = map(int, meter.split("/"))
    return beams_of(spelled(meter, *in_a_row(*durations)), metre(numerator, denominator, QUARTER))


def test_eighths_hang_together_for_half_a_bar_of_four() -> None:
    states = beams("4/4", *[0.5] * 8)
    assert [state[0] for state in states] == ["begin", "continue", "continue", "end"] * 2


def test_a_beat_with_16ths_has_a_beam_of_its_own() -> None:
    states = beams("2/4", 0.5, 0.25, 0.25, 0.5, 0.5)
    assert states == [("begin",), ("continue", "begin"), ("end", "end"), ("begin",), ("end",)]


def test_a_single_16th_has_a_hook_towards_its_dotted_eighth() -> None:
    assert beams("1/4", 0.75, 0.25) == [("begin",), ("end", "backward hook")]
    assert beams("1/4", 0.25, 0.75) == [("begin", "forward hook"), ("end",)]
    assert beams("3/8", 0.75, 0.25, 0.5)[1] == ("continue", "backward hook")


def test_a_lone_eighth_has_a_flag() -> None:
    assert beams("2/4", 1.5, 0.5) == [(), ()]


def test_six_eighths_hang_together_by_dotted_beats() -> None:
    assert [state[0] for state in beams("6/8", *[0.5] * 6)] == ["begin", "continue", "end"] * 2
