from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from musegen.corpus.shards import Split, load_info, load_split
from musegen.errors import ModelError, RequestError
from musegen.models.dit import Dit, Told
from musegen.shapes import DitConfig
from musegen.train.distributed import HERE, Place
from musegen.train.objectives import OBJECTIVES, objective_of
from musegen.train.roll_objective import (
    CLIPS_A_PIECE,
    LEVEL_CENTRE,
    LEVEL_SPREAD,
    bits_per_roll,
    clip_nats,
    levels,
    measure_rolls,
    roll_loss,
    weight,
)
from musegen.train.rolls import Clip, RollSampler, Shared, collate
from musegen.train.session import Wishes, new_run
from musegen.train.ship import command, ship
from musegen.train.state import Run, averaged, load_state
from musegen.train.trainer import Habits, Stop, train
from tests.train.rolls import CONFIG, PLAIN, SHAPE, clip_of, piece, scale, split

SMALL = replace(SHAPE, d_column=4, n_features=1, d_model=16, n_head=1, n_layer=1, d_ff=16)
"""For what does not depend on the network's inside."""
ODDS = (0.05, 0.15)
"""Of onset and sustain against off, in the rolls below."""


def independent(n_clips: int, n_beats: int = 4, seed: int = 0) -> list[Clip]:
    """Rolls whose cells know nothing of each other."""
    rng = np.random.default_rng(seed)
    chances = np.array([1, *ODDS]) / (1 + sum(ODDS))
    shape = (SHAPE.n_parts, 4 * n_beats, SHAPE.n_pitches)
    return [clip_of(rng.choice(3, shape, p=chances).astype(np.uint8)) for _ in range(n_clips)]


def knowing_the_odds(shape: DitConfig = SMALL) -> Dit:
    """An untrained network: the best denoiser of these rolls."""
    torch.manual_seed(0)
    network = Dit(shape).eval()
    with torch.no_grad():
        network.prior.copy_(torch.tensor(ODDS).log().repeat_interleave(84).repeat(4))
    return network


def collated(clips: list[Clip]) -> Shared:
    return collate(clips, SHAPE).share(HERE)


@torch.no_grad()
def loss_of(network: Dit, batch: Shared) -> float:
    return float(roll_loss(network, batch))


class Oracle(Dit):
    """Sees the clean cells."""

    x0: Tensor

    def forward(self, x: Tensor, sigma: Tensor, told: Told, previous: Tensor | None = None) -> Tensor:
        return 60 * self.x0 - 30


def test_levels_lie_in_their_range_one_in_each_share() -> None:
    torch.manual_seed(2)
    n = 64
    sigma = levels(n, 0.1, 20.0, torch.device("cpu"))
    assert sigma.shape == (n,) and float(sigma.min()) >= 0.0999 and float(sigma.max()) <= 20.02
    assert not torch.equal(sigma, sigma.sort().values)

    def below(level: float) -> float:
        return 0.5 * (1 + math.erf((math.log(level / LEVEL_CENTRE)) / LEVEL_SPREAD / math.sqrt(2)))

    low, high = below(0.1), below(20.0)
    shares = sorted((below(value) - low) / (high - low) * n for value in sigma.tolist())
    assert [math.floor(share) for share in shares] == list(range(n))
    assert float(levels(999, 0.1, 20.0, torch.device("cpu")).median()) == pytest.approx(LEVEL_CENTRE, rel=0.05)


def test_low_levels_weigh_more_up_to_a_bound() -> None:
    sigma = torch.tensor([0.01, 0.1, 0.45, 1.0, 20.0])
    values = weight(sigma)
    assert values[0] == values[1] == pytest.approx(50) and values[2] == pytest.approx(2)
    assert values[4] == pytest.approx(1, abs=1e-5)
    assert (values[1:].diff() < 0).all()


def test_every_level_counts_about_alike_for_cells_alone() -> None:
    shares = []
    for level in (0.3, 0.45, 0.8, 3.0):
        single = knowing_the_odds(replace(SMALL, sigma_min=level, sigma_max=level * 1.001))
        torch.manual_seed(1)
        shares.append(loss_of(single, collated(independent(2))))
    assert max(shares) < 2.5 * min(shares)


def test_only_what_is_to_be_written_counts() -> None:
    network = knowing_the_odds()
    batch = collated(independent(2))
    torch.manual_seed(3)
    whole = loss_of(network, batch)
    part = batch.written.clone()
    part[:, :, :, :, 42:] = 0
    torch.manual_seed(3)
    half = loss_of(network, batch._replace(written=part))
    assert 0.35 < half / whole < 0.65
    assert loss_of(network, batch._replace(written=torch.zeros_like(part))) == 0


class Listening(Dit):
    """Notes what it is told as its earlier estimate."""

    heard: list[Tensor | None]

    def forward(self, x: Tensor, sigma: Tensor, told: Told, previous: Tensor | None = None) -> Tensor:
        self.heard.append(previous)
        logits: Tensor = super().forward(x, sigma, told, previous)
        return logits


def test_a_batch_may_be_seen_twice_with_the_first_estimate() -> None:
    network = Listening(SMALL)
    batch = collated(independent(2))
    for looks_twice in (False, True):
        network.heard = []
        roll_loss(network, batch._replace(looks_twice=looks_twice))
        assert len(network.heard) == 1 + looks_twice and network.heard[0] is None
    estimate = network.heard[1]
    assert estimate is not None and not estimate.requires_grad
    assert ((estimate >= 0) & (estimate <= 1)).all() and estimate.shape == batch.x0.shape


def test_a_perfect_network_needs_no_nats() -> None:
    oracle, clips = Oracle(SMALL).eval(), independent(3)
    oracle.x0 = collated(clips).x0
    above = [float((clip.states > 0).sum()) / (2 * SHAPE.sigma_max**2) for clip in clips]  # of about 3000 nats
    assert clip_nats(oracle, clips, HERE) == pytest.approx(above, rel=1e-3)
    assert loss_of(oracle, collated(clips)) < 1e-3


def test_the_nats_of_cells_alone_are_their_entropy() -> None:
    clips = independent(4)
    found = clip_nats(knowing_the_odds(), clips, HERE, n_levels=96)
    chances = np.array([1, *ODDS]) / (1 + sum(ODDS))
    entropies = [-np.log(chances[clip.states]).sum() for clip in clips]
    assert found == pytest.approx(entropies, rel=0.05)
    assert sum(found) == pytest.approx(sum(entropies), rel=0.02)
    few = clip_nats(knowing_the_odds(), independent(40, n_beats=1), HERE)
    assert np.mean(few) == pytest.approx(np.mean(entropies) / 4, rel=0.06)  # of 8 levels each
    wrong = knowing_the_odds()
    with torch.no_grad():
        wrong.prior.add_(1)
    assert sum(clip_nats(wrong, clips, HERE, n_levels=96)) > 1.03 * sum(found)


def test_only_cells_that_are_written_cost_nats() -> None:
    (clip,) = independent(1)
    upper = clip.written.copy()
    upper[:, :, :42] = False
    network = knowing_the_odds()
    (whole,) = clip_nats(network, [clip], HERE)
    (part,) = clip_nats(network, [replace(clip, written=upper)], HERE)
    assert 0.4 < part / whole < 0.6
    assert clip_nats(network, [replace(clip, written=np.zeros_like(upper))], HERE) == [0]


def test_the_nats_of_a_clip_do_not_depend_on_those_beside_it() -> None:
    clips, network = independent(3), knowing_the_odds()
    together = clip_nats(network, clips, HERE)
    for i, clip in enumerate(clips):
        assert clip_nats(network, [clip], HERE, first=i) == pytest.approx(together[i : i + 1], rel=1e-4)
    assert clip_nats(network, clips[:1], HERE, first=1) != together[:1]


def test_one_of_several_processes_measures_all_clips() -> None:
    clips, network = independent(3), knowing_the_odds()
    assert clip_nats(network, clips, Place(rank=0, world=2)) == clip_nats(network, clips, HERE)


def test_a_measure_tells_sources_and_all() -> None:
    pieces = [piece(scale(0, ((40, 4, 4),)), source="folk"), piece(scale(2, ((3, 3, 4),), voices=4), source="bach_m21")]
    held_out = measure_rolls(knowing_the_odds(), pieces, HERE)
    assert list(held_out) == ["bach_m21", "folk", "all"]
    folk, bach, both = held_out["folk"], held_out["bach_m21"], held_out["all"]
    assert (folk.pieces, bach.pieces, both.pieces) == (CLIPS_A_PIECE, 1, CLIPS_A_PIECE + 1)
    assert folk.tokens == CLIPS_A_PIECE * 2 * 64 * 84 and bach.tokens == 4 * 36 * 84
    assert folk.notes == CLIPS_A_PIECE * 2 * 16 and bach.notes == 4 * 9
    assert both.nats == pytest.approx(folk.nats + bach.nats) and folk.nats > 0
    assert bach.seconds == 9 / 2
    assert bits_per_roll(bach) == pytest.approx(bach.nats / math.log(2))
    assert measure_rolls(knowing_the_odds(), pieces, HERE) == held_out


def test_what_cannot_be_measured_is_told_or_passed_over() -> None:
    with pytest.raises(RequestError, match="no held-out pieces"):
        measure_rolls(knowing_the_odds(), [], HERE)
    odd = piece(scale(0, ((1, 5, 32), (4, 5, 8))))
    assert measure_rolls(knowing_the_odds(), [odd], HERE) == {}
    assert list(measure_rolls(knowing_the_odds(), [odd, piece(scale(0))], HERE)) == ["folk", "all"]


def test_a_process_without_a_row_takes_part_too() -> None:
    batch = RollSampler(split(scale(0)), replace(CONFIG, batch_tokens=16), SHAPE).batch(0)
    network = Dit(SHAPE)
    value = roll_loss(network, batch.share(Place(rank=1, world=2)))
    torch.autograd.backward(value)
    assert value.item() == 0


def test_the_loss_falls() -> None:
    shape = replace(SHAPE, context=4, dropout=0.0, d_column=16)
    sampler = RollSampler(split(scale(0, ((8, 4, 4),))), replace(PLAIN, batch_tokens=16, context=4), shape)
    torch.manual_seed(0)
    network = Dit(shape)
    with torch.no_grad():
        network.prior.copy_(torch.from_numpy(sampler.log_odds(32)).flatten())
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    losses = []
    for step in range(40):
        torch.manual_seed(step % 10)  # the same noise again
        batch = sampler.batch(step % 10)
        value = roll_loss(network, batch.share(HERE)) / batch.n_targets
        assert value.isfinite()
        optimizer.zero_grad()
        torch.autograd.backward(value)
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        losses.append(value.item())
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])


WISHES = Wishes(
    preset="tiny-diffusion", steps=6, seed=1, model_options={"context": 8}, train_options={"batch_tokens": 32}
)


@pytest.fixture(scope="module")
def splits(shards: Path) -> tuple[Split, Split]:
    return load_split(shards, "train"), load_split(shards, "valid")


def same_weights(a: Run, b: Run) -> bool:
    return all(
        torch.equal(p, dict(b.model.named_parameters())[name]) and torch.equal(a.average[name], b.average[name])
        for name, p in a.model.named_parameters()
    )


def test_a_resumed_run_is_the_undisturbed_one(splits: tuple[Split, Split], tmp_path: Path) -> None:
    whole = new_run(WISHES, HERE)
    assert objective_of(whole.model.config) is OBJECTIVES["dit"]
    held_out = train(whole, *splits, tmp_path / "whole")
    assert whole.step == 6 and sorted(held_out) == ["all", "bach_m21", "folk"]
    assert math.isfinite(held_out["all"].nats_per_note) and held_out["all"].notes > 50

    stop = Stop()

    def stop_at_three(run: Run) -> None:
        stop.signal = 15 if run.step == 3 else 0

    broken, folder = new_run(WISHES, HERE), tmp_path / "broken"
    habits = Habits(save_seconds=0.0, measure_seconds=3600.0)
    assert train(broken, *splits, folder, habits, stop=stop, after_save=stop_at_three) == {}
    resumed = load_state(folder)
    assert resumed.step == 3 and same_weights(resumed, broken) and not same_weights(resumed, whole)
    assert train(resumed, *splits, folder) == held_out
    assert same_weights(resumed, whole)


def test_a_run_begins_with_the_odds_of_its_data(splits: tuple[Split, Split], tmp_path: Path) -> None:
    run = new_run(replace(WISHES, steps=1, train_options={"batch_tokens": 32, "lr": 1e-9}), HERE)
    train(run, *splits, tmp_path)
    assert isinstance(run.model, Dit)
    odds = torch.from_numpy(RollSampler(splits[0], run.config, run.model.config).log_odds()).flatten()
    for prior in (run.model.prior, run.average["prior"], averaged(run).get_parameter("prior")):
        torch.testing.assert_close(prior.detach(), odds)


def test_a_shipped_model_says_how_it_was_made(shards: Path, splits: tuple[Split, Split], tmp_path: Path) -> None:
    run = new_run(WISHES, HERE)
    path = tmp_path / "rolls.safetensors"
    table = ship(run, path, load_info(shards), *splits[:2], load_split(shards, "test"), "a machine")
    card = path.with_suffix(".md").read_text(encoding="utf-8")
    assert table in card and "architecture: dit" in card and "context 8 beats" in card
    words = command("rolls", run)
    assert "--preset diffusion" in words and "--model-option d_model=32" in words and "n_pitches" not in words


def test_a_diffusion_model_takes_no_adapters() -> None:
    with pytest.raises(ModelError, match="lora_rank 0"):
        new_run(replace(WISHES, train_options={"batch_tokens": 32, "lora_rank": 2}), HERE)
