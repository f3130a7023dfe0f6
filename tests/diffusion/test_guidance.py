from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from musegen.diffusion import guided
from musegen.errors import RequestError

X = torch.linspace(-1, 1, 6).reshape(2, 3)


class Counting:
    """A denoiser that says always the same, and how often it was asked."""

    def __init__(self, value: float) -> None:
        self.value, self.calls = value, 0

    def __call__(self, x: Tensor, sigma: float) -> Tensor:
        self.calls += 1
        return self.value * x


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0, 3.0])
def test_guidance_goes_on_in_the_direction_of_what_was_asked(scale: float) -> None:
    found = guided(Counting(0.5), Counting(0.2), scale)(X, 1.0)
    torch.testing.assert_close(found, (0.2 + scale * 0.3) * X)


def test_at_a_scale_of_1_it_is_the_conditional_denoiser_bit_for_bit() -> None:
    conditional, unconditional = Counting(1 / 3), Counting(0.7)
    assert torch.equal(guided(conditional, unconditional, 1.0)(X, 1.0), conditional(X, 1.0))
    assert unconditional.calls == 0


def test_outside_of_the_interval_only_the_conditional_denoiser_is_called() -> None:
    conditional, unconditional = Counting(0.5), Counting(0.2)
    denoise = guided(conditional, unconditional, 2.0, (0.3, 5.0))
    for sigma in (20.0, 5.1, 0.3, 0.01):
        assert torch.equal(denoise(X, sigma), 0.5 * X)
    assert (conditional.calls, unconditional.calls) == (4, 0)
    for sigma in (5.0, 1.0, 0.31):
        torch.testing.assert_close(denoise(X, sigma), 0.8 * X)
    assert (conditional.calls, unconditional.calls) == (7, 3)


@pytest.mark.parametrize(
    ("scale", "interval", "mend"),
    [(2.0, (5.0, 0.3), "lower level first"), (2.0, (-1.0, 1.0), "lower"), (-1.0, (0.0, math.inf), "0 or above")],
)
def test_what_is_no_guidance_says_what_is(scale: float, interval: tuple[float, float], mend: str) -> None:
    with pytest.raises(RequestError, match=mend):
        guided(Counting(1), Counting(1), scale, interval)
