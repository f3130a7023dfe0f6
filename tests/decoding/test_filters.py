from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from musegen.decoding import RANGES, SamplingOptions, filters
from musegen.decoding.protocol import FloatArray
from musegen.errors import RequestError

INF = math.inf
PROBABILITIES = [0.5, 0.25, 0.15, 0.1]


def logits_of(*rows: list[float]) -> FloatArray:
    result: FloatArray = np.log(np.array(rows))
    return result


def kept(logits: FloatArray) -> list[list[int]]:
    return [np.flatnonzero(np.isfinite(row)).tolist() for row in logits]


@st.composite
def batches(draw: st.DrawFn) -> FloatArray:
    n_rows, n_ids = draw(st.integers(1, 3)), draw(st.integers(2, 12))
    values = st.floats(-8, 8, allow_nan=False)
    rows = draw(st.lists(st.lists(values, min_size=n_ids, max_size=n_ids), min_size=n_rows, max_size=n_rows))
    return np.array(rows)


def test_mask_rules_out() -> None:
    logits = filters.mask(np.array([[1.0, 2.0, 3.0]]), np.array([[True, False, True]]))
    assert logits.tolist() == [[1.0, -INF, 3.0]]


@given(batches())
def test_guidance_of_one_or_towards_itself_changes_no_probability(logits: FloatArray) -> None:
    other, plain = logits[:, ::-1], filters.log_softmax(logits)
    np.testing.assert_allclose(np.exp(plain).sum(axis=-1), 1)
    np.testing.assert_allclose(filters.guide(logits, other, 1.0), plain, atol=1e-12)
    np.testing.assert_allclose(filters.guide(logits, logits + 5, 4.0), plain, atol=1e-12)


def test_guidance_leads_away_from_what_follows_anyway() -> None:
    mixed = filters.guide(logits_of([0.5, 0.5]), logits_of([0.8, 0.2]), 2.0)
    assert np.exp(mixed[0]).tolist() == pytest.approx([0.5**2 / 0.8, 0.5**2 / 0.2])


def test_penalty_multiplies_log_probabilities_of_recent_ids() -> None:
    logits = filters.penalise(logits_of(PROBABILITIES) + 3, np.array([[True, False, False, True]]), 2.0)
    assert np.exp(logits[0]).tolist() == pytest.approx([0.25, 0.25, 0.15, 0.01])


def test_temperature_divides() -> None:
    assert filters.heat(np.array([[1.0, -2.0]]), 2.0).tolist() == [[0.5, -1.0]]


def test_temperature_zero_keeps_the_first_of_the_likeliest() -> None:
    logits = np.array([[1.0, 3.0, 3.0], [5.0, -INF, 1.0]])
    assert filters.heat(logits, 0.0).tolist() == [[-INF, 3.0, -INF], [5.0, -INF, -INF]]


@pytest.mark.parametrize(("k", "ids"), [(1, [0]), (2, [0, 1]), (3, [0, 1, 2]), (4, [0, 1, 2, 3]), (9, [0, 1, 2, 3])])
def test_top_k(k: int, ids: list[int]) -> None:
    assert kept(filters.keep_top_k(logits_of(PROBABILITIES), k)) == [ids]


def test_top_k_keeps_what_is_as_likely_as_the_last() -> None:
    assert kept(filters.keep_top_k(logits_of([0.4, 0.2, 0.2, 0.2]), 2)) == [[0, 1, 2, 3]]


@pytest.mark.parametrize(
    ("p", "ids"), [(0.01, [0]), (0.49, [0]), (0.51, [0, 1]), (0.74, [0, 1]), (0.76, [0, 1, 2]), (0.95, [0, 1, 2, 3])]
)
def test_top_p(p: float, ids: list[int]) -> None:
    assert kept(filters.keep_top_p(logits_of(PROBABILITIES), p)) == [ids]


def test_top_p_judges_each_row_by_itself() -> None:
    logits = logits_of([0.1, 0.15, 0.25, 0.5], [0.97, 0.01, 0.01, 0.01])
    assert kept(filters.keep_top_p(logits, 0.7)) == [[2, 3], [0]]


@pytest.mark.parametrize(("share", "ids"), [(0.1, [0, 1, 2, 3]), (0.25, [0, 1, 2]), (0.4, [0, 1]), (1.0, [0])])
def test_min_p(share: float, ids: list[int]) -> None:
    assert kept(filters.keep_min_p(logits_of(PROBABILITIES), share)) == [ids]


@pytest.mark.parametrize(("p", "ids"), [(0.2, [1]), (0.3, [0, 1]), (0.8, [0, 1, 2]), (0.95, [0, 1, 2, 3])])
def test_typical(p: float, ids: list[int]) -> None:
    # Entropy 1.208; surprises 0.693, 1.386, 1.897, 2.303; distances 0.515, 0.178, 0.689, 1.094.
    assert kept(filters.keep_typical(logits_of(PROBABILITIES), p)) == [ids]


def test_typical_may_leave_out_the_likeliest() -> None:
    row = [0.4, *[0.1] * 6]  # entropy 1.748; surprises 0.916 and 2.303: the rarer ids are the more typical
    assert kept(filters.keep_typical(logits_of(row), 0.5)) == [[1, 2, 3, 4, 5]]


@given(batches())
def test_every_filter_is_off_at_its_default(logits: FloatArray) -> None:
    everything = np.ones(logits.shape, np.bool_)
    assert np.array_equal(filters.apply(logits, everything, everything, SamplingOptions()), logits)
    assert np.array_equal(filters.keep_top_k(logits, logits.shape[1]), logits)
    assert np.array_equal(filters.keep_min_p(logits, 0.0), logits)
    assert np.array_equal(filters.heat(logits, 1.0), logits)
    unpenalised = filters.penalise(logits, everything, 1.0)
    np.testing.assert_allclose(unpenalised, filters.log_softmax(logits))


@given(
    batches(),
    st.builds(
        SamplingOptions,
        temperature=st.floats(0, 3),
        top_k=st.integers(0, 8),
        top_p=st.floats(0.01, 1),
        min_p=st.floats(0, 1),
        typical_p=st.floats(0.01, 1),
        repetition_penalty=st.floats(1, 3),
    ),
    st.integers(0, 2**12 - 1),
)
def test_all_together_keep_something_allowed_and_treat_rows_alone(
    logits: FloatArray, options: SamplingOptions, bits: int
) -> None:
    allowed = np.tile([bits >> i & 1 == 1 for i in range(logits.shape[1])], (len(logits), 1))
    allowed[:, 0] |= ~allowed.any(axis=1)
    recent = np.roll(allowed, 1, axis=1)
    filtered = filters.apply(logits, allowed, recent, options)
    assert (filtered > -INF).any(axis=1).all()
    assert not (filtered > -INF)[~allowed].any()
    assert not np.isnan(filtered).any()
    for row in range(len(logits)):
        one = slice(row, row + 1)
        assert np.array_equal(filters.apply(logits[one], allowed[one], recent[one], options), filtered[one])


def test_the_order_is_temperature_then_nucleus() -> None:
    options = SamplingOptions(temperature=0.5, top_p=0.7)
    everything = np.ones((1, 4), np.bool_)
    # At temperature 1/2 the first id has 0.25 / 0.345 = 0.72 of the mass; at 1 it has only 0.5.
    assert kept(filters.apply(logits_of(PROBABILITIES), everything, ~everything, options)) == [[0]]


@pytest.mark.parametrize(
    "wrong",
    [
        {"temperature": -0.1}, {"temperature": math.nan}, {"temperature": math.inf}, {"top_k": -1}, {"top_p": 0.0},
        {"top_p": 1.5}, {"min_p": -0.1}, {"min_p": 1.1}, {"typical_p": 0.0}, {"typical_p": 1.01},
        {"repetition_penalty": 0.9}, {"beams": 0}, {"beams": 65}, {"search": "deep"},
        {"search": "beam", "temperature": 0.0},
    ],
)  # fmt: skip
def test_a_value_out_of_range_is_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match=next(iter(wrong))):
        SamplingOptions(**wrong)


def test_ranges_tell_what_is_off() -> None:
    assert {name: default for name, (_, _, default) in RANGES.items()} == {
        name: getattr(SamplingOptions(guidance=1), name) for name in RANGES
    }
