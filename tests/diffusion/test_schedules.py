from __future__ import annotations

import math
from itertools import pairwise

import pytest

from musegen.diffusion import SCHEDULES, forward, levels, quantiles
from musegen.errors import RequestError


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("n_steps", [1, 2, 3, 16, 100])
def test_levels_fall_from_the_highest_to_the_lowest_and_then_to_0(name: str, n_steps: int) -> None:
    found = levels(name, n_steps, 0.1, 20.0)
    assert len(found) == n_steps + 1
    assert found[0] == 20 and found[-1] == 0
    assert n_steps == 1 or found[-2] == 0.1
    assert all(a > b for a, b in pairwise(found))


def test_log_uniform_levels_are_a_fixed_share_of_each_other() -> None:
    assert levels("log_uniform", 4, 0.1, 100.0) == pytest.approx((100, 10, 1, 0.1, 0))


def test_karras_levels_are_even_in_the_seventh_root() -> None:
    roots = [sigma ** (1 / 7) for sigma in levels("karras", 18, 0.002, 80.0)[:-1]]
    assert [a - b for a, b in pairwise(roots)] == pytest.approx([(roots[0] - roots[-1]) / 17] * 17)


@pytest.mark.parametrize(
    ("name", "betas"), [("linear", forward.linear_betas(20000, 5e-6, 1e-3)), ("cosine", forward.cosine_betas())]
)
def test_vp_levels_are_those_of_evenly_spaced_steps(name: str, betas: tuple[float, ...]) -> None:
    """Of as many as there are; the linear one is the limit of ever more and smaller ones."""
    n = len(betas)
    every = [forward.sigma(abar) for abar in forward.alpha_bars(betas)]
    chosen = [every[n * share // 10 - 1] for share in range(1, 10)]  # after a tenth of the steps, two tenths, ...
    assert levels(name, 9, chosen[0], chosen[-1])[-2::-1] == pytest.approx(chosen, rel=0.002)


def test_quantiles_of_an_even_mass_are_log_uniform() -> None:
    edges = [math.log(0.1), math.log(0.7), math.log(2.0), math.log(20.0)]
    even = quantiles(edges, [b - a for a, b in pairwise(edges)], 7)
    assert even == pytest.approx(levels("log_uniform", 7, 0.1, 20.0))


def test_quantiles_cut_a_mass_in_equal_parts() -> None:
    found = quantiles([0.0, 1.0, 2.0, 3.0, 4.0], [1.0, 0.0, 2.0, 1.0], 5)  # four parts of 1
    assert [math.log(sigma) for sigma in found[:-1]] == pytest.approx([4, 3, 2.5, 2, 0])
    assert found[-1] == 0


def test_quantiles_pass_over_bins_without_mass() -> None:
    found = quantiles([0.0, 1.0, 2.0, 3.0, 4.0], [0.0, 1.0, 1.0, 0.0], 5)
    assert [math.log(sigma) for sigma in found[:-1]] == pytest.approx([4, 2.5, 2, 1.5, 0])


def test_quantiles_of_few_steps_keep_the_ends() -> None:
    assert quantiles([0.0, 1.0], [1.0], 1) == pytest.approx((math.e, 0))
    assert quantiles([0.0, 1.0], [1.0], 2) == pytest.approx((math.e, 1, 0))


@pytest.mark.parametrize(
    ("arguments", "mend"),
    [
        (("even", 8, 0.1, 20.0), "use one of karras, log_uniform, linear, cosine"),
        (("karras", 0, 0.1, 20.0), "at least 1"),
        (("karras", 8, 0.0, 20.0), "end above 0"),
        (("karras", 8, 20.0, 0.1), "must fall"),
    ],
)
def test_what_is_no_schedule_says_what_is(arguments: tuple[str, int, float, float], mend: str) -> None:
    with pytest.raises(RequestError, match=mend):
        levels(*arguments)
