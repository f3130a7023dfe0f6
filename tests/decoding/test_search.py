from __future__ import annotations

import math

import numpy as np
import pytest

from musegen.decoding import Ending, SamplingOptions, search
from tests.decoding.fakes import BOS, FreeState, TableNetwork, run

X, Y, Z, W = 3, 4, 5, 6
E = 1e-12
DRAWN = [0.8720734548204873, 0.29536538151378355, 0.4200976785072422]
# From BOS, X is likelier than Y; but after Y comes W for certain, after X nothing is likelier than 0.4.
TABLE = [[1 / 7] * 7 for _ in range(7)]
TABLE[BOS] = [E, E, E, 0.6, 0.4, E, E]
TABLE[X] = [E, E, E, 0.2, 0.4, 0.4, E]
TABLE[Y] = [E, E, E, E, E, E, 1.0]


def test_beam_finds_a_likelier_sequence_than_greedy() -> None:
    network = TableNetwork(TABLE)
    (greedy,), _ = run(network, [FreeState(7, 3)], SamplingOptions(search="greedy"))
    (beam,), endings = run(network, [FreeState(7, 3)], SamplingOptions(search="beam", beams=2))
    assert greedy == [X, Y]  # 0.6 x 0.4; BOS was the first of the three tokens
    assert beam == [Y, W]  # 0.4 x 1
    assert endings == {0: Ending.DONE}


def test_each_row_of_a_batch_is_searched_by_itself() -> None:
    rows, _ = run(TableNetwork(TABLE), [FreeState(7, n) for n in (3, 2, 3)], SamplingOptions(search="beam", beams=2))
    assert rows == [[Y, W], [X], [Y, W]]


def test_a_beam_out_of_tokens_says_so() -> None:
    (ids,), endings = run(
        TableNetwork(TABLE), [FreeState(7, 50)], SamplingOptions(search="beam", beams=2), max_tokens=2
    )
    assert ids == [Y, W]
    assert endings == {0: Ending.OUT_OF_TOKENS}


def test_a_beam_wider_than_the_possibilities() -> None:
    (ids,), _ = run(TableNetwork(TABLE), [FreeState(7, 3)], SamplingOptions(search="beam", beams=64))
    assert ids == [Y, W]


def test_worth_divides_by_the_length() -> None:
    state = FreeState(7, 1)
    short = search.Hypothesis(state, (1, 2), -2.0)
    long = search.Hypothesis(state, (1, 2, 3, 4), -2.2)
    assert short.worth == pytest.approx(-2.0 / 2**search.LENGTH_POWER)
    assert long.worth > short.worth


def test_greedy_takes_the_lowest_of_equals() -> None:
    assert search.greedy(np.array([[0.0, 2.0, 2.0], [1.0, -1.0, -math.inf]])).tolist() == [1, 0]


def test_sample_is_the_inverse_of_the_cumulated_probabilities() -> None:
    with np.errstate(divide="ignore"):
        row = np.log([0.5, 0.0, 0.25, 0.25, 0.0])
    uniforms = np.array([0.0, 0.4999, 0.5, 0.74, 0.76, np.nextafter(1.0, 0.0)])
    assert search.sample(np.tile(row, (len(uniforms), 1)), uniforms).tolist() == [0, 0, 2, 2, 3, 3]


def test_sample_never_takes_what_is_impossible() -> None:
    row = np.array([[-math.inf, 0.0, -math.inf]])
    for uniform in (0.0, 0.5, np.nextafter(1.0, 0.0)):
        assert search.sample(row, np.array([uniform])).tolist() == [1]


def test_sampled_frequencies_are_the_probabilities() -> None:
    probabilities = np.array([0.1, 0.2, 0.3, 0.4])
    draws = search.Draws(3)
    uniforms = np.array([draws.next() for _ in range(4000)])
    logits = np.tile(np.log(probabilities), (4000, 1))
    shares = np.bincount(search.sample(logits, uniforms), minlength=4) / 4000
    assert np.abs(shares - probabilities).max() < 0.03


def test_draws_are_a_function_of_the_seed() -> None:
    first, second, other = (search.Draws(seed) for seed in (1, 1, 2))
    values = [first.next() for _ in range(600)]
    assert values == [second.next() for _ in range(600)]
    assert values != [other.next() for _ in range(600)]
    assert 0 <= min(values) < max(values) < 1


def test_draws_stay_the_same_in_all_versions() -> None:
    draws = search.Draws(7)
    assert [draws.next() for _ in range(3)] == DRAWN
