"""Whole staves: what no single tuplet can hold is rounded, and nothing is lost."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from musegen.score.model import Score, Track
from musegen.score.notation.staff import sheet


def test_a_beat_that_no_tuplet_holds_is_rounded_and_counted() -> None:
    places = [Fraction(0), Fraction(1, 9), Fraction(7, 20), Fraction(11, 18), Fraction(4, 5), Fraction(1)]
    ticks = [int(place * 1440) for place in places]
    notes = [(start, 60, stop - start, 80) for start, stop in pairwise(ticks)]
    page = sheet(Score(1440, (Track(notes),)))
    assert page.timeline.rounded == 5
    heads = [element for element in page.staves[0].bars[0][0] if element.heads]
    assert sum(element.length for element in heads) == page.timeline.quarter


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 7), st.integers(0, 35), st.sampled_from([5, 7, 9, 11, 13, 16, 17, 18, 20, 22, 24, 36])
        ),
        min_size=1,
        max_size=12,
    )
)
def test_any_mixture_of_tuplets_ends_with_full_bars(points: list[tuple[int, int, int]]) -> None:
    resolution = 360 * 7 * 11
    ticks = sorted({beat * resolution + min(n, d - 1) * resolution // d for beat, n, d in points} | {8 * resolution})
    notes = [(start, 60 + k, stop - start, 80) for k, (start, stop) in enumerate(pairwise(ticks))]
    page = sheet(Score(resolution, (Track(notes),)))
    assert len(page.staves[0].bars) == len(page.timeline.bars)
    for bar, voices in zip(page.timeline.bars, page.staves[0].bars, strict=True):
        assert sum(element.length for element in voices[0]) == bar.length
