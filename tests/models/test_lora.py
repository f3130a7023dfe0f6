from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from musegen import checkpoint
from musegen.errors import ModelError
from musegen.models import Model, build, preset
from musegen.models.lora import adapt
from musegen.tokens import Remi

RANK = 4


def tiny(name: str = "tiny") -> Model:
    torch.manual_seed(0)
    return build(preset(name, Remi.vocabulary.size, Remi.attribute_sizes)).eval()


def logits(model: Model) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(0, Remi.vocabulary.size, (3, 40), generator=generator)
    sizes = torch.tensor([*Remi.attribute_sizes, 8, 8])
    attributes = (torch.rand((3, 40, len(sizes)), generator=generator) * sizes).long()
    with torch.no_grad():
        result: Tensor = model(ids, attributes)
    return result


def adapted(*, learned: bool) -> Model:
    model = tiny()
    adapt(model, RANK)
    if learned:
        for name, parameter in model.named_parameters():
            if name.endswith(".up"):
                torch.nn.init.normal_(parameter, std=0.1)
    return model


def test_new_adapters_change_no_bit_of_the_logits() -> None:
    assert torch.equal(logits(tiny()), logits(adapted(learned=False)))
    assert not torch.allclose(logits(tiny()), logits(adapted(learned=True)), atol=1e-2)


def test_only_adapters_of_every_projection_learn() -> None:
    model = adapted(learned=True)
    ids = torch.zeros((1, 8), dtype=torch.long)
    model(ids, torch.zeros((1, 8, len(Remi.attribute_sizes) + 2), dtype=torch.long)).sum().backward()
    with_gradient = {name for name, p in model.named_parameters() if p.grad is not None}
    layers = model.config.n_layer
    assert with_gradient == {
        f"blocks.{layer}.{where}.{part}"
        for layer in range(layers)
        for where in ("attention.qkv", "attention.out", "feed_in", "feed_out")
        for part in ("down", "up")
    }
    assert with_gradient == {name for name, p in model.named_parameters() if p.requires_grad}


def test_adapters_in_a_file_are_added_to_their_base(tmp_path: Path) -> None:
    model, base = adapted(learned=True), tmp_path / "base.safetensors"
    checkpoint.save(base, tiny(), {})
    learned = {name: p for name, p in model.named_parameters() if p.requires_grad}
    row = torch.full((model.config.d_model,), 0.25)
    checkpoint.save_adapters(tmp_path / "thin.safetensors", base, learned, {3: row}, {"thin": True})
    merged, card = checkpoint.load(tmp_path / "thin.safetensors")
    assert card == {"thin": True}
    assert torch.equal(merged.embedding.weight[3], row)
    with torch.no_grad():
        merged.embedding.weight[3] = model.embedding.weight[3]
    torch.testing.assert_close(logits(merged), logits(model), rtol=1e-2, atol=1e-3)


def test_what_cannot_be_adapted_or_merged_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="leave --lora out"):
        adapt(tiny("tiny-lstm"), RANK)
    for rank in (0, 32):
        with pytest.raises(ModelError, match="between 1 and 31"):
            adapt(tiny(), rank)
    path, base = tmp_path / "thin.safetensors", tmp_path / "base.safetensors"
    checkpoint.save(base, tiny(), {})
    name, up, down = "blocks.0.feed_in", torch.zeros(64, RANK), torch.zeros(RANK, 32)
    for wrong in (
        {f"{name}.up": up},
        {f"{name}.down": down},
        {f"{name}.up": up, f"{name}.down": down[:, :31]},
        {"blocks.7.feed_in.up": up, "blocks.7.feed_in.down": down},
    ):
        checkpoint.save_adapters(path, base, wrong, {}, {})
        with pytest.raises(ModelError, match="damaged"):
            checkpoint.load(path)
