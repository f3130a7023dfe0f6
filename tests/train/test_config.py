from __future__ import annotations

import pytest

from musegen.errors import RequestError
from musegen.train.config import TrainConfig, parse_seconds


def test_the_rate_rises_then_falls_to_a_tenth() -> None:
    config = TrainConfig(budget_seconds=100, lr=2e-3, warmup=0.1)
    rates = [config.learning_rate(config.progress(0, s)) for s in range(101)]
    assert rates[0] > 0
    assert max(rates) == rates[10] == pytest.approx(2e-3)
    assert rates[:11] == sorted(rates[:11])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(2e-4)
    assert config.learning_rate(1.3) == pytest.approx(2e-4)


def test_configurations_survive_json() -> None:
    config = TrainConfig(budget_steps=7, source_weights={"folk": 1.0}, max_transposition=(0, 0))
    assert TrainConfig.from_dict(config.to_dict()) == config
    with pytest.raises(RequestError, match="speed"):
        TrainConfig.from_dict({**config.to_dict(), "speed": 3})


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"budget_seconds": 1.0, "budget_steps": 1},
        {"budget_steps": 1, "lr": 0.0},
        {"budget_steps": 1, "warmup": 1.5},
        {"budget_steps": 1, "batch_tokens": 100},
        {"budget_steps": 1, "max_transposition": (1, 6)},
    ],
)
def test_nonsense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(RequestError):
        TrainConfig(**wrong)  # type: ignore[arg-type]


def test_times_are_read() -> None:
    assert [parse_seconds(t) for t in ("90s", "50m", "1.5h")] == [90, 3000, 5400]
    for wrong in ("", "5", "m", "-3m", "infh", "2 weeks"):
        with pytest.raises(RequestError, match="50m"):
            parse_seconds(wrong)
