from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from musegen.diffusion import PARAMETERISATIONS, denoiser, score, target
from musegen.diffusion.denoiser import Network, scales
from musegen.errors import RequestError
from tests.diffusion.exact import Gaussian, TwoPoints

SIGMA_DATA = 0.7
X = torch.linspace(-5, 5, 12, dtype=torch.float64).reshape(4, 3)


def best_network(name: str, data: Gaussian) -> Network:
    """The network of least squared error: the mean of its target given x, whose noise it reads from its label."""

    def network(scaled: Tensor, c_noise: Tensor) -> Tensor:
        assert scaled.shape == X.shape and c_noise.shape == (len(X),)
        sigma = (4 * c_noise).exp().unsqueeze(1)
        x = scaled / scales(name, sigma, SIGMA_DATA).c_in
        x_0 = data(x, float(sigma[0]))
        return target(name, x_0, (x - x_0) / sigma, sigma, SIGMA_DATA)  # linear in x_0 and eps: means of both

    return network


@pytest.mark.parametrize("name", PARAMETERISATIONS)
@pytest.mark.parametrize("sigma", [0.01, 0.6, 3.0, 80.0])
def test_whatever_a_network_predicts_its_denoiser_is_the_same(name: str, sigma: float) -> None:
    data = Gaussian(0.4, 1.3)
    found = denoiser(best_network(name, data), name, SIGMA_DATA)(X, sigma)
    torch.testing.assert_close(found, data(X, sigma), rtol=1e-6, atol=1e-6)


def test_targets_are_those_of_the_papers() -> None:
    x_0, eps = X, X.flip(0).sin()
    sigma = torch.tensor([0.1, 0.5, 2.0, 9.0], dtype=torch.float64).unsqueeze(1)
    alpha_bar = 1 / (1 + sigma**2)
    wanted = {
        "x0": x_0,
        "eps": eps,
        "v": alpha_bar.sqrt() * eps - (1 - alpha_bar).sqrt() * x_0,
        "score": -eps / sigma,
        "edm": (sigma * x_0 - SIGMA_DATA**2 * eps) / (SIGMA_DATA * (sigma**2 + SIGMA_DATA**2).sqrt()),
    }
    assert wanted.keys() == PARAMETERISATIONS.keys()
    for name, values in wanted.items():
        torch.testing.assert_close(target(name, x_0, eps, sigma, SIGMA_DATA), values)
    torch.testing.assert_close(target("edm", x_0, eps, sigma, 1.0), -wanted["v"])


def test_preconditioned_networks_read_and_write_unit_variance() -> None:
    """The two demands from which Karras et al. derive c_in, c_skip and c_out; for x_0 and eps both independent."""
    sigma = torch.tensor([0.01, 0.3, 1.0, 50.0])
    c = scales("edm", sigma, SIGMA_DATA)
    torch.testing.assert_close(c.c_in**2 * (SIGMA_DATA**2 + sigma**2), torch.ones(4))
    variance = ((1 - c.c_skip) ** 2 * SIGMA_DATA**2 + c.c_skip**2 * sigma**2) / c.c_out**2
    torch.testing.assert_close(variance, torch.ones(4), rtol=1e-4, atol=0)


@pytest.mark.parametrize("data", [Gaussian(0.4, 1.3), TwoPoints(0.3)], ids=["gaussian", "two points"])
@pytest.mark.parametrize("sigma", [0.5, 2.0])
def test_the_score_is_the_gradient_of_the_density(data: Gaussian | TwoPoints, sigma: float) -> None:
    x = X.clone().requires_grad_()
    gradient = torch.autograd.grad(data.log_density(x, sigma).sum(), x)[0]
    torch.testing.assert_close(score(data, X, sigma), gradient, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", PARAMETERISATIONS)
def test_numbers_keep_their_type(name: str) -> None:
    def network(scaled: Tensor, c_noise: Tensor) -> Tensor:
        assert scaled.dtype == c_noise.dtype == torch.float32
        assert c_noise.tolist() == pytest.approx([math.log(2) / 4] * len(scaled))
        return scaled

    assert denoiser(network, name, SIGMA_DATA)(X.float(), 2.0).dtype == torch.float32


def test_an_unknown_prediction_says_which_there_are() -> None:
    with pytest.raises(RequestError, match="use one of x0, eps, v, score, edm"):
        denoiser(lambda x, _: x, "noise", SIGMA_DATA)(X, 1.0)
