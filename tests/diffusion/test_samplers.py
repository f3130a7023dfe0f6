"""Samplers against data whose best denoiser and flow are known, so that all error is the sampler's own."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from musegen.diffusion import SAMPLERS, SCHEDULES, Denoise, Noise, Step, forward, levels, per_row_noise, sampler
from musegen.diffusion.samplers import Past, extrapolated
from musegen.errors import RequestError
from tests.diffusion.exact import Gaussian, TwoPoints

ORDERS = {"euler": 1, "ddim": 1, "heun": 2, "dpmpp_2m": 2}
SECOND_ORDER = ("heun", "dpmpp_2m", "dpmpp_2m_sde")
CALLS = {name: 2 if name in ("heun", "predictor_corrector") else 1 for name in SAMPLERS}

START = torch.linspace(-25, 25, 40, dtype=torch.float64).unsqueeze(1)


def no_noise(x: Tensor) -> Tensor:
    raise AssertionError("a deterministic sampler asked for noise")


def down_to(lowest: float, n_steps: int, highest: float = 10.0) -> tuple[float, ...]:
    """n_steps levels that do not go on to 0."""
    return levels("log_uniform", n_steps + 1, lowest, highest)[:-1]


def end(steps: Iterator[Step]) -> Tensor:
    return list(steps)[-1].x


def normal(seed: int) -> Noise:
    generator = torch.Generator().manual_seed(seed)
    return lambda x: torch.randn(x.shape, generator=generator, dtype=x.dtype)


def slope(n_steps: Sequence[int], errors: Sequence[float]) -> float:
    """The order of an error, -d ln error / d ln n."""
    return -float(np.polyfit(np.log(n_steps), np.log(errors), 1)[0])


def variance_error(name: str, n_steps: int, churn: float = 0.0) -> float:
    """Of N(0, 0.7^2) at sigma 0.3, without drawing: all is linear, so each row carries one draw's share to the end."""
    data, lowest, highest = Gaussian(0, 0.7), 0.3, 10.0
    rows = torch.zeros(3 * n_steps + 1, 1, dtype=torch.float64)  # at most three draws a step
    rows[0] = data.std_at(highest)
    fresh = iter(range(1, len(rows)))

    def one_row_each(x: Tensor) -> Tensor:
        draw = torch.zeros_like(x)
        draw[next(fresh)] = 1
        return draw

    shares = end(sampler(name)(data, rows, down_to(lowest, n_steps, highest), one_row_each, churn=churn))
    return abs(float(shares.square().sum()) - data.std_at(lowest) ** 2)


@pytest.mark.parametrize("name", ORDERS)
def test_deterministic_samplers_have_their_order_on_a_gaussian(name: str) -> None:
    data, n_steps = Gaussian(0.5, 0.7), [64, 128, 256, 512]
    exact = data.flow(START, 10, 0.3)
    errors = [float((end(sampler(name)(data, START, down_to(0.3, n), no_noise)) - exact).abs().mean()) for n in n_steps]
    assert slope(n_steps, errors) == pytest.approx(ORDERS[name], abs=0.25)
    assert errors[-1] < (0.002 if ORDERS[name] == 1 else 1e-5)


@pytest.mark.parametrize("name", ORDERS)
def test_deterministic_samplers_have_their_order_on_two_points(name: str) -> None:
    data, n_steps = TwoPoints(0.3), [32, 64, 128, 256]
    fine = end(sampler("heun")(data, START, down_to(0.5, 4000), no_noise))
    errors = [float((end(sampler(name)(data, START, down_to(0.5, n), no_noise)) - fine).abs().mean()) for n in n_steps]
    assert slope(n_steps, errors) == pytest.approx(ORDERS[name], abs=0.25)
    assert errors[-1] < (0.003 if ORDERS[name] == 1 else 3e-5)


@pytest.mark.parametrize(
    ("name", "order"), [("ddpm", 1), ("ddim", 1), ("heun", 2), ("dpmpp_2m", 2), ("dpmpp_2m_sde", 2)]
)
def test_the_variance_of_samples_becomes_that_of_the_data(name: str, order: float) -> None:
    n_steps = [128, 256, 512]
    errors = [variance_error(name, n) for n in n_steps]
    assert slope(n_steps, errors) == pytest.approx(order, abs=0.25)
    assert errors[0] < (0.05 if order == 1 else 5e-4) * 0.58  # 0.7^2 + 0.3^2


def test_the_corrector_brings_the_variance_nearer() -> None:
    """Up to a bias of r^2 of Langevin's steps, which no number of steps takes away."""
    for n_steps in (8, 16, 32, 64):
        assert variance_error("predictor_corrector", n_steps) < variance_error("ddpm", n_steps)
    assert variance_error("predictor_corrector", 512) < 0.16**2 * 0.58


@pytest.mark.parametrize("name", SECOND_ORDER)
@pytest.mark.parametrize("n_steps", [16, 64, 256])
def test_churn_does_no_harm_with_many_steps(name: str, n_steps: int) -> None:
    assert variance_error(name, n_steps, churn=0.1) < 0.025 * 0.58


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("churn", [0.0, 0.15])
def test_samples_of_a_gaussian_have_its_mean_and_variance(name: str, churn: float) -> None:
    """Within four standard errors, and a bias: 100 steps of first order take away a few percent, with churn more."""
    data, n_rows, noise = Gaussian(0.5, 0.7), 20_000, normal(3)
    x = end(
        sampler(name)(
            data, 40 * noise(torch.zeros(n_rows, 1)), levels("log_uniform", 100, 0.02, 40.0), noise, churn=churn
        )
    )
    bias = 0.005 if name in SECOND_ORDER else 0.04 + 0.4 * churn
    assert float(x.mean()) == pytest.approx(0.5, abs=4 * 0.7 / math.sqrt(n_rows))
    assert float(x.std()) == pytest.approx(0.7, rel=4 / math.sqrt(2 * n_rows) + bias)


@pytest.mark.parametrize("name", SAMPLERS)
def test_both_of_two_points_get_their_share(name: str) -> None:
    data, n_rows, share = TwoPoints(0.2), 20_000, 0.2
    errors = []
    for n_steps in (4, 16, 64):
        noise = normal(5)
        x_0 = data.draw((n_rows, 1), torch.Generator().manual_seed(1))
        x = end(sampler(name)(data, x_0 + 10 * noise(x_0), levels("log_uniform", n_steps, 0.1, 10.0), noise))
        assert float(((x.abs() - 1).abs() < 0.01).double().mean()) > 0.98  # a few are left between them at 4 steps
        errors.append(abs(float((x > 0).double().mean()) - share))
    four_errors = 4 * math.sqrt(share * (1 - share) / n_rows)
    assert errors[-1] < four_errors
    assert errors[1] < four_errors if name in SECOND_ORDER else errors[0] > 2 * errors[1] > 4 * errors[2]


def test_multistep_samplers_look_half_a_step_ahead() -> None:
    """Where D grows evenly with lambda = -ln sigma, from uneven levels."""

    def denoised(log_sigma: float) -> Tensor:
        return torch.tensor([3.0 - 0.7 * log_sigma])

    before, sigma, lower = math.exp(2.0), math.exp(0.8), math.exp(0.5)
    ahead = extrapolated(denoised(0.8), sigma, lower, Past(before, denoised(2.0)))
    torch.testing.assert_close(ahead, denoised(0.65))


def test_the_corrector_keeps_its_ratio_of_signal_to_noise() -> None:
    """Where all is noise, the step along the score is r times as long as the noise that is added."""
    x, sigmas = START, (3.0, 2.0)
    ddpm, corrected = (
        [end(sampler(name)(lambda x, _: 0 * x, x, sigmas, noise)) for noise in (torch.zeros_like, torch.ones_like)]
        for name in ("ddpm", "predictor_corrector")
    )
    along = corrected[0] / ddpm[0] - 1
    noise = (corrected[1] - (1 + along) * ddpm[1]) / 2.0  # in units of the level
    torch.testing.assert_close(-along / noise, torch.full_like(along, 0.16))


@pytest.mark.parametrize("data", [Gaussian(0.5, 0.7), TwoPoints(0.3)], ids=["gaussian", "two points"])
def test_ddim_is_eulers_method_in_other_coordinates(data: Denoise) -> None:
    sigmas = levels("cosine", 10, 0.05, 20.0)
    both = zip(
        sampler("ddim")(data, START, sigmas, no_noise), sampler("euler")(data, START, sigmas, no_noise), strict=True
    )
    for ddim, euler in both:
        torch.testing.assert_close(ddim.x, euler.x, rtol=1e-9, atol=1e-9)


def test_ddpm_is_ancestral_sampling_of_the_vp_process() -> None:
    data, draw = TwoPoints(0.3), normal(1)
    sigmas = (
        *(forward.sigma(abar) for abar in reversed(forward.alpha_bars(forward.linear_betas(50, 0.002, 0.4)))),
        0.0,
    )
    x_vp = forward.to_vp(START, sigmas[0])
    for step in sampler("ddpm")(data, START, sigmas, normal(1)):
        now, before = forward.alpha_bar(sigmas[step.index]), forward.alpha_bar(step.sigma)
        x_0 = data(forward.to_ve(x_vp, sigmas[step.index]), sigmas[step.index])
        moments = forward.posterior(x_vp, x_0, now, before)
        x_vp = moments.mean + math.sqrt(moments.variance) * draw(x_vp)
        torch.testing.assert_close(forward.to_vp(step.x, step.sigma), x_vp, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_calls_the_denoiser_as_often_as_it_says(name: str) -> None:
    asked: list[float] = []

    def denoise(x: Tensor, sigma: float) -> Tensor:
        asked.append(sigma)
        return TwoPoints()(x, sigma)

    steps = sampler(name)(denoise, START, levels("karras", 5, 0.1, 10.0), normal(1))
    for step in steps:
        assert len(asked) == CALLS[name] * (step.index + (step.sigma > 0)) + (step.sigma == 0)
    assert min(asked) == 0.1


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("n_steps", [1, 2, 12])
def test_steps_go_down_the_levels_and_end_in_the_denoised(name: str, schedule: str, n_steps: int) -> None:
    sigmas = levels(schedule, n_steps, 0.1, 10.0)
    steps = list(sampler(name)(TwoPoints(), START.float(), sigmas, normal(1), churn=0.1))
    assert [step.index for step in steps] == list(range(n_steps))
    assert [step.sigma for step in steps] == list(sigmas[1:])
    assert all(step.x.dtype == torch.float32 and step.x.isfinite().all() for step in steps)
    assert torch.equal(steps[-1].x, steps[-1].denoised)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_row_is_the_same_alone_as_in_a_batch(name: str) -> None:
    seeds, sigmas = [7, 1, 7, 4], levels("karras", 6, 0.1, 10.0)

    def samples(seeds: Sequence[int]) -> Tensor:
        noise = per_row_noise(seeds)
        return end(
            sampler(name)(TwoPoints(0.3), 10 * noise(torch.empty(len(seeds), 2, 19)), sigmas[:-1], noise, churn=0.2)
        )

    together = samples(seeds)
    for row, seed in enumerate(seeds):
        assert torch.equal(samples([seed])[0], together[row])
    assert torch.equal(together[0], together[2]) and not torch.equal(together[0], together[1])


def test_noise_of_a_row_goes_on_and_takes_the_type_of_x() -> None:
    noise = per_row_noise([3, 5])
    first, second = noise(torch.empty(2, 1000, dtype=torch.float64)), noise(torch.empty(2, 1000))
    assert (first.dtype, second.dtype) == (torch.float64, torch.float32)
    assert abs(float((first * second).mean())) < 0.1
    assert float(first.std()) == pytest.approx(1, abs=0.1)


def test_what_is_no_sampler_or_churn_says_what_is() -> None:
    with pytest.raises(RequestError, match="use one of ddpm, ddim, euler, heun, dpmpp_2m, "):
        sampler("plms")
    with pytest.raises(RequestError, match=r"from 0 to 0\.414"):
        next(sampler("heun")(TwoPoints(), START, (1.0, 0.0), no_noise, churn=0.5))
