"""Files of diffusion models: what is saved is loaded, and what does not fit is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from musegen import checkpoint
from musegen.errors import ModelError
from musegen.models import Dit
from musegen.models.dit import Told
from tests.test_checkpoint import fresh, rewrite


def rolls() -> Dit:
    """The tiny diffusion model with numbers, none zero, of its own."""
    model, _ = checkpoint.load_denoiser("tiny-diffusion")
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape), alpha=0.1)
    return model


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "tokens.safetensors"
    checkpoint.save(path, fresh(), {})
    return path


@pytest.fixture
def saved_rolls(tmp_path: Path) -> Path:
    path = tmp_path / "rolls.safetensors"
    checkpoint.save(path, rolls(), {"styles": ["chorale"]})
    return path


def told(model: Dit) -> tuple[torch.Tensor, torch.Tensor, Told]:
    """A call of a network of rolls, two beats long."""
    config, generator = model.config, torch.Generator().manual_seed(1)
    shape = (1, config.n_parts, 2, 8, config.n_pitches)
    known = torch.zeros(1, config.n_parts, 1, 8, config.n_pitches)
    return torch.randn(shape, generator=generator), torch.tensor([1.0]), Told(
        torch.tensor([[1, 1, 5, 3]]), torch.tensor([[[0, 0, 2], [1, 0, 2]]]), torch.ones(1, 2, config.chord_size),
        torch.ones(1, 2, dtype=torch.bool), known, torch.zeros(shape), torch.ones(1, config.n_parts, dtype=torch.bool),
        torch.zeros(1, config.n_parts, dtype=torch.bool),
    )  # fmt: skip


def test_a_saved_diffusion_model_loads_again_with_equal_outputs(saved_rolls: Path) -> None:
    model, (loaded, card) = rolls(), checkpoint.load_denoiser(saved_rolls)
    assert card == {"styles": ["chorale"]} == checkpoint.card(saved_rolls)
    assert loaded.config == model.config and not loaded.training
    for name, parameter in loaded.named_parameters():
        assert torch.equal(parameter, model.get_parameter(name).half().float())
    before, after = model(*told(model)), loaded(*told(model))
    assert torch.allclose(before, after, rtol=0.01, atol=0.02) and before.std() > 0.1
    again, _ = checkpoint.load_any(saved_rolls)
    assert isinstance(again, Dit) and torch.equal(again(*told(model)), after)


def test_architectures_are_told_without_loading_the_weights(saved: Path, saved_rolls: Path, tmp_path: Path) -> None:
    lstm = tmp_path / "lstm.safetensors"
    checkpoint.save(lstm, fresh("tiny-lstm"), {})
    asked = {"tiny-random": "transformer", "tiny-diffusion": "dit", saved: "transformer", lstm: "rnn"}
    asked |= {saved_rolls: "dit"}
    assert {each: checkpoint.architecture(each) for each in asked} == asked
    with pytest.raises(ModelError, match="unknown model 'nothing'"):
        checkpoint.architecture("nothing")
    saved.write_bytes(b"no weights")
    with pytest.raises(ModelError, match="damaged"):
        checkpoint.architecture(saved)


def test_tiny_diffusion_is_the_same_every_time_and_leaves_the_generator_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    first, _ = checkpoint.load_denoiser("tiny-diffusion")
    assert torch.equal(torch.rand(1), expected)
    second, _ = checkpoint.load_denoiser("tiny-diffusion")
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert "tiny-diffusion" in checkpoint.names()


@pytest.mark.parametrize("change", ["missing", "all missing", "unknown", "other shape"])
def test_weights_of_a_diffusion_model_that_do_not_fit_are_refused(saved_rolls: Path, change: str) -> None:
    with safe_open(saved_rolls, framework="pt") as stream:
        metadata = stream.metadata()
    tensors = load_file(saved_rolls)
    if change == "missing":
        del tensors["prior"]
    elif change == "all missing":
        tensors = {}
    elif change == "unknown":
        tensors["more"] = torch.zeros(2)
    else:
        tensors["prior"] = tensors["prior"][:-1]
    save_file(tensors, saved_rolls, metadata)
    for load in (checkpoint.load_any, checkpoint.load_denoiser):
        with pytest.raises(ModelError, match=r"weights are missing.*get it again"):
            load(saved_rolls)


@pytest.mark.parametrize(
    ("field", "value"), [("condition_sizes", [3, 3, 3, 3]), ("chord_size", 24), ("n_pitches", 168), ("beat", 2)]
)
def test_rolls_and_conditions_of_another_version_are_refused(saved_rolls: Path, field: str, value: object) -> None:
    rewrite(saved_rolls, config={**rolls().config.to_dict(), field: value})
    with pytest.raises(ModelError, match=f"trained with {field} .*train it again"):
        checkpoint.load_denoiser(saved_rolls)


@pytest.mark.parametrize("config", [{"architecture": "dit"}, {"architecture": "dit", "depth": 3}])
def test_a_record_of_a_diffusion_model_that_is_no_use_is_told(saved_rolls: Path, config: dict[str, Any]) -> None:
    rewrite(saved_rolls, config=config)
    with pytest.raises(ModelError):
        checkpoint.load_any(saved_rolls)


def test_models_of_tokens_and_of_rolls_are_not_mistaken_for_each_other(saved: Path, saved_rolls: Path) -> None:
    for name in ("tiny-diffusion", saved_rolls):
        for load in (checkpoint.load, checkpoint.load_decoder):
            with pytest.raises(ModelError, match="writes piano rolls, not tokens; name a model of tokens"):
                load(name)
    for name in ("tiny-random", saved):
        with pytest.raises(ModelError, match="writes tokens, not piano rolls; name a diffusion model"):
            checkpoint.load_denoiser(name)
    assert not isinstance(checkpoint.load_any("tiny-random")[0], Dit)
