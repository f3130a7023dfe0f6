from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from musegen.conditions import BEAT_SIZES, CHORD_SIZE, CLIP_SIZES
from musegen.diffusion.posterior import EVIDENCE_LIMIT, cross_entropy, evidence
from musegen.errors import ModelError
from musegen.models import build
from musegen.models.dit import Dit, Lattice, LatticeLayer, Told, _angles
from musegen.shapes import DitConfig, roll_preset, shape_of
from tests.models.rolls import Inputs, inputs, shape, stirred

GROUPED = {"patch_pitches": 12, "d_model": 32, "n_head": 2}
SHAPES = {"whole beats": shape(), "octaves": shape(**GROUPED)}


@pytest.fixture(params=SHAPES)
def config(request: pytest.FixtureRequest) -> DitConfig:
    return SHAPES[request.param]


@torch.inference_mode()
def said(model: Dit, given: Inputs, previous: Tensor | None = None) -> Tensor:
    """(B, P, 2, T, K) what the network adds to the logits of prior and evidence."""
    base = model.prior.view(-1, 2, 1, model.config.n_pitches) + evidence(given.x, given.sigma)
    logits: Tensor = model(given.x, given.sigma, given.told, previous)
    return torch.where(given.told.known > 0, 0, logits - base)  # given cells are what they are


def same(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def differ(a: Tensor, b: Tensor) -> bool:
    return bool((a - b).abs().max() > 1e-2)


@pytest.mark.parametrize("n_beats", [1, 5, 16, 20])
def test_an_untrained_network_is_the_posterior_of_cells_alone(config: DitConfig, n_beats: int) -> None:
    torch.manual_seed(3)
    model = Dit(config)  # in training too: dropout has nothing to drop
    given = inputs(config, 2, n_beats)
    with torch.no_grad():
        logits = model(given.x, given.sigma, given.told, torch.rand_like(given.x))
    assert logits.shape == (2, 4, 2, 4 * n_beats, 84) and logits.dtype == torch.float32
    odds = torch.tensor([0.005, 0.01]).log().view(1, 1, 2, 1, 1)
    told = given.told
    expected = torch.where(told.known > 0, EVIDENCE_LIMIT * (2 * told.cells - 1), odds + evidence(given.x, given.sigma))
    torch.testing.assert_close(logits, expected, rtol=1e-6, atol=1e-6)


def test_a_clip_may_have_more_or_fewer_beats_than_the_context(config: DitConfig) -> None:
    model = stirred(config)
    for n_beats in (1, config.context - 3, config.context + 4):
        added = said(model, inputs(config, 2, n_beats))
        assert added.shape == (2, 4, 2, 4 * n_beats, 84) and added.isfinite().all()
        assert added.std() > 0.05


def test_cells_of_a_patch_come_back_to_their_place(config: DitConfig) -> None:
    model = Dit(config)
    columns = torch.randn(2 * config.n_parts, config.n_features, 5, config.n_pitches)
    patches = model.to_patches(columns)
    n_groups = config.n_pitches // config.patch_pitches
    assert patches.shape == (2, 5 * n_groups, config.n_parts * config.n_features * config.patch_pitches)
    assert torch.equal(model.from_patches(patches), columns)
    one = torch.zeros_like(columns)
    one[1, :, 3, 50] = 1  # row 0, part 1, beat 3, pitch 50
    token = 3 * n_groups + 50 // config.patch_pitches
    assert {tuple(place) for place in model.to_patches(one).nonzero()[:, :2].tolist()} == {(0, token)}


def test_cells_of_a_beat_stand_at_their_steps() -> None:
    config = shape()
    columns = torch.zeros(config.n_parts, 2 * config.beat, 3, config.n_pitches)
    columns[2, config.beat + 1, 2, 7] = 1  # the second step's sustain, of part 2, beat 2, pitch 7
    assert Dit(config).to_cells(columns).nonzero().tolist() == [[0, 2, 1, 2 * config.beat + 1, 7]]


def test_a_row_is_the_same_alone(config: DitConfig) -> None:
    model, given = stirred(config), inputs(config, 3, 6)
    told = replace(given.told, parts=torch.tensor([[1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 0, 0]], dtype=torch.bool))
    together = said(model, replace(given, told=told))
    for row in range(3):
        mine = slice(row, row + 1)
        alone = Told(*(getattr(told, name)[mine] for name in Told.__dataclass_fields__))
        same(said(model, Inputs(given.x0[mine], given.x[mine], given.sigma[mine], alone)), together[mine])


def padded(given: Inputs, n_more: int, noise: float = 0.0) -> Inputs:
    """With empty beats behind the end, as a batch pads: given, and not to be heard, whatever stands there."""
    told, n_rows = given.told, len(given.x)
    n_beats = told.valid.shape[1]
    n_steps = given.x.shape[3] // n_beats * n_more
    more = replace(
        told,
        beats=torch.cat((told.beats, torch.full((n_rows, n_more, told.beats.shape[2]), int(noise))), dim=1),
        chords=torch.cat((told.chords, torch.full((n_rows, n_more, told.chords.shape[2]), noise)), dim=1),
        valid=torch.cat((told.valid, torch.zeros(n_rows, n_more, dtype=torch.bool)), dim=1),
        known=torch.cat((told.known, torch.ones(*told.known.shape[:3], n_steps, 84)), dim=3),
        cells=torch.cat((told.cells, torch.zeros(*told.cells.shape[:3], n_steps, 84)), dim=3),
    )
    empty = torch.zeros(*given.x.shape[:3], n_steps, 84)
    return Inputs(torch.cat((given.x0, empty), 3), torch.cat((given.x, empty + 3 * noise), 3), given.sigma, more)


def test_what_stands_behind_the_end_does_not_matter(config: DitConfig) -> None:
    model, given = stirred(config), inputs(config, 2, 5)
    one = said(model, padded(given, 1))[:, :, :, :20]
    for n_more, noise in ((1, 2.0), (4, 0.0), (4, 1.0)):
        same(said(model, padded(given, n_more, noise))[:, :, :, :20], one)


def test_padding_does_not_matter(config: DitConfig) -> None:
    model, given = stirred(config), inputs(config, 2, 5)
    same(said(model, padded(given, 3))[:, :, :, :20], said(model, given))


def test_parts_that_there_are_not_do_not_matter(config: DitConfig) -> None:
    model, given = stirred(config), inputs(config, 2, 4)
    told = replace(given.told, parts=torch.tensor([[True, True, False, False]] * 2))
    before = said(model, replace(given, told=told))
    x, known, cells = given.x.clone(), told.known.clone(), told.cells.clone()
    x[:, 2:] += 3
    known[:, 2:] = 1
    cells[:, 2:, 0] = 1
    after = said(model, replace(given, x=x, told=replace(told, known=known, cells=cells)))
    same(after[:, :2], before[:, :2])
    assert not after[:, 2:].abs().max() > 1e-4  # of them only prior and evidence are said
    x[:, 1] += 3
    assert differ(said(model, replace(given, x=x, told=told))[:, 0], before[:, 0])


def test_noise_in_known_cells_does_not_matter(config: DitConfig) -> None:
    model, given = stirred(config), inputs(config, 2, 4)
    other = torch.where(given.told.known > 0, 5 * torch.randn_like(given.x), given.x)
    guess = torch.rand_like(given.x)
    changed = torch.where(given.told.known > 0, 1 - guess, guess)
    before = said(model, given, guess)
    same(said(model, replace(given, x=other), changed), before)
    told = replace(given.told, cells=(1 - given.x0) * given.told.known)
    assert differ(said(model, replace(given, told=told), guess), before)


def test_all_that_is_told_is_heard(config: DitConfig) -> None:
    model, given = stirred(config), inputs(config, 1, 4)
    before = said(model, given)
    told = given.told
    for i, size in enumerate(config.condition_sizes):
        clip = told.clip.clone()
        clip[:, i] = (clip[:, i] + 1) % size
        assert differ(said(model, replace(given, told=replace(told, clip=clip))), before)
    for i, size in enumerate(config.beat_sizes):
        beats = told.beats.clone()
        beats[:, 2, i] = (beats[:, 2, i] + 1) % size
        assert differ(said(model, replace(given, told=replace(told, beats=beats))), before)
    assert differ(said(model, replace(given, told=replace(told, chords=1 - told.chords))), before)
    assert differ(said(model, given, torch.ones_like(given.x)), before)


def test_every_cell_hears_every_other(config: DitConfig) -> None:
    model, given = stirred(config), inputs(config, 1, 4, given=0.0)
    x = given.x.clone().requires_grad_()
    logits = model(x, given.sigma, given.told)
    (gradient,) = torch.autograd.grad(logits[0, 0, :, 0, 0].sum(), x)
    assert (gradient.abs().sum(dim=(0, 2)).amax(dim=-1) > 0).all()  # of each part and step


def test_without_conditions_only_the_frame_is_told() -> None:
    told = inputs(shape(), 2, 4).told
    bare = told.without_conditions()
    assert not bare.clip.any() and not bare.chords.any()
    for name in ("beats", "valid", "known", "cells", "parts"):
        assert getattr(bare, name) is getattr(told, name)


def test_training_reaches_every_parameter(config: DitConfig) -> None:
    torch.manual_seed(0)
    model, given = Dit(config), inputs(config, 4, 4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    reached = {}
    for _ in range(3):  # what leaves a branch is zero at first, so the gates learn first, then what they let through
        nats = cross_entropy(model(given.x, given.sigma, given.told, torch.rand_like(given.x)), given.x0)
        optimizer.zero_grad()
        torch.autograd.backward(nats.sum())
        optimizer.step()
        reached = {name: p.grad is not None and bool(p.grad.any()) for name, p in model.named_parameters()}
    assert [name for name, is_reached in reached.items() if not is_reached] == []


def test_the_shipped_size_fits_into_a_package() -> None:
    config = roll_preset("diffusion", CLIP_SIZES, BEAT_SIZES, CHORD_SIZE)
    model = build(config)
    assert isinstance(model, Dit)
    assert model.n_parameters == sum(p.numel() for p in model.parameters()) == 7_196_568
    assert 2 * model.n_parameters < 15e6  # bytes in half precision


def lattice_inputs(config: DitConfig) -> tuple[LatticeLayer, Tensor, Tensor, Tensor, Lattice]:
    """A layer of random weights, and columns of three parts in two rows, the second of which has but one."""
    layer = stirred(config).behind[0]
    assert isinstance(layer, LatticeLayer)
    generator = torch.Generator().manual_seed(4)
    columns = torch.randn(config.d_column, 3, 6, config.n_pitches, generator=generator)
    vector, tokens = (torch.randn(2, *size, config.d_model, generator=generator) for size in ((), (6,)))
    return layer, columns, vector, tokens, Lattice(torch.tensor([0, 2, 4]), 4, None)


@torch.inference_mode()
def test_a_lattice_layer_knows_intervals_not_pitches() -> None:
    layer, columns, vector, tokens, lattice = lattice_inputs(shape())
    layer.into.bias.zero_()
    vector.zero_()
    columns[..., :20] = columns[..., -20:] = 0
    heard = layer(columns, vector, tokens, lattice)
    higher = layer(columns.roll(5, dims=3), vector, tokens, lattice)
    same(higher[..., 5:], heard[..., :-5])
    columns[..., 20] += 1
    assert differ(layer(columns, vector, tokens, lattice)[..., 60:], heard[..., 60:])  # from afar


@torch.inference_mode()
def test_a_lattice_layer_hears_all_parts_of_its_row_alone() -> None:
    layer, columns, vector, tokens, lattice = lattice_inputs(shape())
    before = layer(columns, vector, tokens, lattice)
    columns[:, 1, 2] += 1
    after = layer(columns, vector, tokens, lattice)
    assert differ(after[:, 0], before[:, 0])
    same(after[:, 2], before[:, 2])
    moved = (after - before)[:, 1].abs().amax(dim=(0, 2)) > 1e-4
    assert moved.all()  # every beat hears it, those far off by what the tokens attend to


@torch.inference_mode()
def test_a_lattice_layer_looks_at_beats_that_are_there() -> None:
    layer, columns, vector, tokens, lattice = lattice_inputs(shape())
    valid = torch.ones(2, 6, dtype=torch.bool)
    valid[1, 4:] = False
    cut = replace(lattice, valid=valid)
    before = layer(columns, vector, tokens, cut)
    columns[:, :, 4:] += 1
    tokens[:, 4:] += 1
    after = layer(columns, vector, tokens, cut)
    same(after[:, 2, :4], before[:, 2, :4])
    assert differ(after[:, 0, :4], before[:, 0, :4])


def test_a_shape_is_stored_and_read_again() -> None:
    config = shape(**GROUPED, sigma_min=0.2)
    assert shape_of(config.to_dict()) == config
    assert config.d_ff == 4 * config.d_model


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patch_pitches": 16}, "divide"),
        ({"d_model": 36, "n_head": 2}, "heads"),
        ({"dropout": 1.0}, "dropout"),
        ({"sigma_min": 30.0}, "sigma_min"),
        ({"n_layer": 0}, "n_layer"),
        ({"n_before": -1}, "n_before"),
        ({"n_glances": 5}, "n_glances"),
        ({"architecture": "rnn"}, "dit"),
        ({"width": 3}, "width"),
    ],
)
def test_a_shape_that_cannot_be_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        shape(**changes)


def test_rotation_depends_on_differences_of_beats() -> None:
    model = stirred(shape())
    cosines, sines = model.turns(6, torch.zeros(1))
    assert cosines.shape == sines.shape == (1, 6, 1, 16)
    assert (cosines[0, 0] == 1).all() and (sines[0, 0] == 0).all()
    assert _angles(torch.arange(3), 4)[2, 0] == pytest.approx(2 * torch.pi)
    octaves = Dit(SHAPES["octaves"]).turns(2, torch.zeros(1))[0][0, :, 0]  # (S, D)
    assert torch.equal(octaves[:7, :4], octaves[:1, :4].expand(7, 4))  # one beat: half of the pairs do not turn
    assert differ(octaves[0, 4:8], octaves[1, 4:8])
