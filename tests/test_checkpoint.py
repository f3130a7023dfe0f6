from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from musegen import checkpoint
from musegen.errors import ModelError
from musegen.models import Model, build, preset
from musegen.tokens import Remi

TOKENIZER = Remi()


def fresh(size: str = "tiny") -> Model:
    torch.manual_seed(8)
    return build(preset(size, TOKENIZER.vocabulary.size, TOKENIZER.attribute_sizes)).eval()


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "deep" / "model.safetensors"
    checkpoint.save(path, fresh(), {"description": "a test", "styles": ["folk"]})
    return path


def rewrite(path: Path, **changes: Any) -> None:
    """The same weights with another record; a field set to None is left out."""
    with safe_open(path, framework="pt") as stream:
        record = {**json.loads(stream.metadata()["musegen"]), **changes}
    record = {key: value for key, value in record.items() if value is not None}
    save_file(load_file(path), path, {"musegen": json.dumps(record)})


@pytest.mark.parametrize("size", ["tiny", "tiny-lstm"])
def test_what_is_saved_is_loaded(size: str, tmp_path: Path) -> None:
    model, path = fresh(size), tmp_path / "model.safetensors"
    checkpoint.save(path, model, {"notes": 3, "styles": ["folk", "hymn"]})
    loaded, card = checkpoint.load(path)
    assert card == {"notes": 3, "styles": ["folk", "hymn"]} == checkpoint.card(path)
    assert loaded.config == model.config
    assert not loaded.training
    for name, parameter in loaded.named_parameters():
        assert parameter.dtype == torch.float32
        assert torch.equal(parameter, model.get_parameter(name).half().float())
    assert [p.name for p in tmp_path.iterdir()] == ["model.safetensors"], "a temporary file stays behind"


def test_saving_again_writes_the_same_bytes(saved: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.safetensors"
    model, card = checkpoint.load(saved)
    checkpoint.save(again, model, card)
    assert again.read_bytes() == saved.read_bytes()
    assert checkpoint.checksum(again) == checkpoint.checksum(saved)
    assert len(checkpoint.checksum(saved)) == 12


def test_tiny_random_is_the_same_every_time_and_leaves_the_generator_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    first, _ = checkpoint.load("tiny-random")
    assert torch.equal(torch.rand(1), expected)
    second, _ = checkpoint.load("tiny-random")
    assert not first.training
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert first.config.vocab_size == TOKENIZER.vocabulary.size
    assert "tiny-random" in checkpoint.names()


def test_an_unknown_name_lists_the_names() -> None:
    for ask in (checkpoint.load, checkpoint.card, checkpoint.checksum):
        with pytest.raises(ModelError, match=r"'no-such'.*tiny-random"):
            ask("no-such")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such file"):
        checkpoint.load(tmp_path / "absent.safetensors")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99])
def test_a_truncated_file_is_told(saved: Path, share: float) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: int(len(content) * share)])
    for ask in (checkpoint.load, checkpoint.card):
        with pytest.raises(ModelError, match=r"damaged.*get it again"):
            ask(saved)


def test_a_text_a_pickle_and_a_folder_are_told(tmp_path: Path) -> None:
    text = tmp_path / "text.safetensors"
    text.write_text("X:1\nT:a tune, not a model\n")
    pickle = tmp_path / "pickle.safetensors"
    torch.save({"weight": torch.zeros(2)}, pickle)
    folder = tmp_path / "folder.safetensors"
    folder.mkdir()
    for path in (text, pickle):
        with pytest.raises(ModelError, match="damaged"):
            checkpoint.load(path)
    with pytest.raises(ModelError, match=r"folder\.safetensors"):
        checkpoint.load(folder)


def test_weights_of_another_program_are_told(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(2)}, path)
    with pytest.raises(ModelError, match="no model of musegen"):
        checkpoint.load(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"config": None}, {"config": {}}, {"config": []}, {"tokenizer": "other"}, {"card": None}, {"vocabulary": None},
        {"config": {"architecture": "transformer", "depth": 3}},
    ],
)  # fmt: skip
def test_a_record_that_is_no_use_is_told(saved: Path, changes: dict[str, Any]) -> None:
    rewrite(saved, **changes)
    with pytest.raises(ModelError):
        checkpoint.load(saved)


def test_another_vocabulary_is_refused(saved: Path) -> None:
    rewrite(saved, vocabulary="0123")
    with pytest.raises(ModelError, match=r"vocabulary 0123.*train it again"):
        checkpoint.load(saved)


def test_weights_that_do_not_fit_their_configuration_are_refused(saved: Path) -> None:
    config = fresh().config.to_dict()
    rewrite(saved, config={**config, "n_layer": 3})
    with pytest.raises(ModelError, match=r"weights are missing or unknown.*blocks\.2"):
        checkpoint.load(saved)
    rewrite(saved, config={**config, "d_model": 64})
    with pytest.raises(ModelError, match="model"):
        checkpoint.load(saved)


def test_a_failed_save_leaves_the_old_file(saved: Path) -> None:
    before = saved.read_bytes()
    with pytest.raises(TypeError):
        checkpoint.save(saved, fresh(), {"not json": object()})
    assert saved.read_bytes() == before
    assert len(list(saved.parent.iterdir())) == 1
