from __future__ import annotations

import pytest
import torch
from torch import Tensor

from musegen.errors import ModelError
from musegen.models import PRESETS, Model, ModelConfig, build, preset
from musegen.models.transformer import Rotary
from musegen.shapes import BAR, WAVELENGTHS, parameters

VOCAB, SIZES = 50, (6, 4)
CONFIGS = {
    "transformer": preset("tiny", VOCAB, SIZES),
    "grouped": preset("tiny", VOCAB, SIZES, n_head=4, n_kv_head=2),
    "all heads": preset("tiny", VOCAB, SIZES, n_kv_head=2),
    "no attributes": preset("tiny", VOCAB, (), musical_share=0.0),
    "musical only": preset("tiny", VOCAB, SIZES, musical_share=1.0),
    "rnn": preset("tiny-lstm", VOCAB, SIZES),
}


@pytest.fixture(params=CONFIGS)
def model(request: pytest.FixtureRequest) -> Model:
    torch.manual_seed(1)
    network = build(CONFIGS[request.param]).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 2:
                parameter.mul_(5)  # so that differences show
    return network


def inputs(model: Model, n_rows: int, n_tokens: int, seed: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(VOCAB, (n_rows, n_tokens), generator=generator)
    sizes = model.config.attribute_sizes
    coordinates = (max(2, n_tokens // 3), sizes[0] if sizes else 1)  # bars so far, and where in the bar
    columns = [torch.randint(size, (n_rows, n_tokens), generator=generator) for size in (*sizes, *coordinates)]
    return ids, torch.stack(columns, -1)


def test_no_logit_sees_a_later_token(model: Model) -> None:
    n_tokens, place = 12, 5
    seen: list[Tensor] = []
    model.embedding.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    logits = model(*inputs(model, 2, n_tokens))
    (gradient,) = torch.autograd.grad(logits[:, place].square().sum(), seen[0])  # (B, T, C)
    reach = gradient.abs().sum(dim=(0, 2))
    assert (reach[: place + 1] > 0).all()
    assert (reach[place + 1 :] == 0).all()


def test_rows_do_not_see_each_other(model: Model) -> None:
    ids, attributes = inputs(model, 3, 10)
    logits = model(ids, attributes)
    for row in range(3):
        assert torch.allclose(model(ids[row : row + 1], attributes[row : row + 1])[0], logits[row], atol=1e-5)


def test_attributes_change_the_logits() -> None:
    model = build(CONFIGS["transformer"]).eval()
    ids, attributes = inputs(model, 1, 5)
    changed = attributes.clone()
    changed[0, 4, 1] = (changed[0, 4, 1] + 1) % SIZES[1]
    before, after = model(ids, attributes), model(ids, changed)
    assert torch.allclose(before[:, :4], after[:, :4])
    assert not torch.allclose(before[:, 4], after[:, 4])


def test_an_attribute_of_one_column_is_not_one_of_another() -> None:
    model = build(CONFIGS["transformer"])
    ids = torch.tensor([[7]])
    vector = model.embedding(ids, torch.tensor([[[2, 3, 40, 1]]]))[0, 0]  # bar 40, onset 1: not embedded
    table = model.embedding.weight
    assert torch.allclose(vector, table[7] + table[VOCAB + 2] + table[VOCAB + SIZES[0] + 3])


@pytest.mark.parametrize("name", ["transformer", "grouped", "musical only"])
@torch.inference_mode()
def test_logits_depend_on_differences_of_bars_only(name: str) -> None:
    torch.manual_seed(1)
    model = build(CONFIGS[name]).double().eval()
    ids, attributes = inputs(model, 2, 20)
    later, stretched = attributes.clone(), attributes.clone()
    later[..., BAR] += 37
    stretched[..., BAR] *= 2
    torch.testing.assert_close(model(ids, later), model(ids, attributes), rtol=1e-9, atol=1e-9)
    assert (model(ids, stretched) - model(ids, attributes)).abs().max() > 1e-6


@torch.inference_mode()
def test_a_query_stands_where_the_next_note_will_a_key_where_its_own_does() -> None:
    rotary = Rotary(preset("tiny", VOCAB, (25, 25), musical_share=1.0, n_head=2, n_kv_head=1))
    wavelengths = 2 * torch.pi / rotary.frequencies
    torch.testing.assert_close(wavelengths, torch.tensor(WAVELENGTHS[: len(wavelengths)]))
    at = {"position": 18, "left": 6, "bar": 3, "onset": 12}  # a bar of 24 steps
    cosines, _ = rotary(torch.tensor([[list(at.values()), [0, 0, 0, 0]]]), torch.arange(2)[None])
    place = torch.tensor([3.75, 3.75, 3.5])  # in bars: the two query heads, the key head
    torch.testing.assert_close(cosines[0, 0, :, :8], (place[:, None] * rotary.frequencies).cos(), atol=1e-5, rtol=1e-5)
    assert (cosines[0, 1] == 1).all()  # the head of a piece stands at its begin


def test_without_a_musical_share_bars_and_onsets_are_not_read() -> None:
    plain = build(preset("tiny", VOCAB, SIZES, musical_share=0.0)).eval()
    ids, attributes = inputs(plain, 2, 20)
    moved = attributes.clone()
    moved[..., [BAR, -1]] += 5
    assert torch.equal(plain(ids, moved), plain(ids, attributes))


def test_in_bfloat16_a_model_says_nearly_the_same(model: Model) -> None:
    ids, attributes = inputs(model, 2, 30)
    exact = model(ids, attributes)
    with torch.autocast("cpu", torch.bfloat16):
        rough = model(ids, attributes)
    assert rough.dtype == torch.bfloat16
    assert (rough - exact).abs().max() < 0.1 * exact.abs().max()


def test_a_sequence_past_the_context_is_refused() -> None:
    model = build(CONFIGS["transformer"]).eval()
    context = model.config.context
    with pytest.raises(ValueError, match="context"):
        model(*inputs(model, 1, context + 1))
    model(*inputs(model, 1, context))


@pytest.mark.parametrize("name", CONFIGS)
def test_parameters_are_those_of_the_network(name: str) -> None:
    network = build(CONFIGS[name])
    assert parameters(CONFIGS[name]) == {key: tuple(value.shape) for key, value in network.named_parameters()}


def test_a_step_of_training_lowers_the_loss(model: Model) -> None:
    torch.manual_seed(4)
    ids, attributes = inputs(model, 4, 30)
    optimizer = torch.optim.Adam(model.train().parameters(), 3e-3)
    losses = []
    for _ in range(12):
        logits = model(ids[:, :-1], attributes[:, :-1])
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        assert all(parameter.grad is not None for parameter in model.parameters())
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.5


def test_sizes_are_what_they_say() -> None:
    of_tokens = [name for name, values in PRESETS.items() if values["architecture"] != "dit"]
    counts = {name: build(preset(name, 1300, (100, 80, 20))).n_parameters for name in of_tokens}
    assert counts["tiny"] < 80_000
    assert 4e6 < counts["small"] < 6e6
    assert 8e6 < counts["base"] < 12e6
    assert 12e6 < counts["ship"] < 15e6
    assert abs(counts["lstm"] / counts["small"] - 1) < 0.05


def test_residual_branches_begin_smaller() -> None:
    torch.manual_seed(0)
    model = build(preset("small", 300, SIZES))
    weights = dict(model.named_parameters())
    assert float(weights["blocks.0.feed_in.weight"].detach().std()) == pytest.approx(0.02, rel=0.05)
    assert float(weights["blocks.0.feed_out.weight"].detach().std()) == pytest.approx(0.02 / 12**0.5, rel=0.05)


def test_config_survives_its_dictionary() -> None:
    for config in CONFIGS.values():
        assert ModelConfig.from_dict(config.to_dict()) == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_head": 3}, "heads"), ({"n_head": 4, "n_kv_head": 3}, "n_kv_head"), ({"d_model": 40}, "multiples"),
        ({"dropout": 1.0}, "dropout"), ({"n_layer": 0}, "n_layer"), ({"architecture": "cnn"}, "transformer or rnn"),
        ({"musical_share": 1.5}, "musical_share"), ({"attribute_sizes": (3,)}, "place in the bar"),
        ({"attribute_sizes": (3, 0)}, "attribute_sizes"), ({"rope_theta": 1.0}, "rope_theta"), ({"depth": 3}, "depth"),
    ],
)  # fmt: skip
def test_a_config_that_cannot_be_is_refused(changes: dict[str, object], message: str) -> None:
    values = {**CONFIGS["transformer"].to_dict(), **changes}
    with pytest.raises(ModelError, match=message):
        ModelConfig.from_dict(values)


def test_an_incomplete_config_and_an_unknown_size_are_refused() -> None:
    with pytest.raises(ModelError, match="not usable"):
        ModelConfig.from_dict({"architecture": "transformer"})
    with pytest.raises(ModelError, match="small"):
        preset("huge", VOCAB, SIZES)
