from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from musegen.errors import ModelError, RequestError
from musegen.evaluate.chorale_contexts import N_IDS
from musegen.evaluate.chorale_families import predictions
from musegen.evaluate.chorales import FILE
from musegen.models.chorale_net import ChoraleConfig, ChoraleNet
from musegen.train.chorales import (
    MEMBERS,
    ChoraleTraining,
    Example,
    batches,
    begin,
    collate,
    costs,
    example,
    figure,
    measure,
    new_network,
    train,
)
from tests.evaluate.test_contexts import chorale

SCRIPT = Path(__file__).parents[2] / "scripts" / "benchmark_chorales.py"
GRIDS = [chorale(k, 40 + 8 * (k % 3)) for k in range(8)]
EXAMPLES = [example(grid, said) for grid, said in zip(GRIDS, predictions(GRIDS, 6), strict=True)]


def network(config: ChoraleTraining) -> ChoraleNet:
    return new_network(config, EXAMPLES[0].contexts.shape[2])


def stirred(config: ChoraleTraining) -> ChoraleNet:
    """A network none of whose parts says nothing, as the last layers of a new one do."""
    net = network(config)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return net.eval()


TINY = {
    kind: replace(
        member,
        epochs=3,
        network=replace(member.network, d_model=16, d_voice=16, d_embedding=8),
        bf16=False,
    )
    for kind, member in MEMBERS.items()
}


@pytest.mark.parametrize("kind", TINY)
def test_a_cost_depends_on_nothing_that_comes_later(kind: str) -> None:
    net = stirred(TINY[kind])
    at = 21
    inputs, lengths = collate(EXAMPLES[:1])
    with torch.inference_mode():
        cells, ends = costs(net, inputs, lengths)
        for place, voice in enumerate(net.config.order):
            ids, previous, contexts = inputs.ids.clone(), inputs.previous.clone(), inputs.contexts.clone()
            ids[:, at, voice] = 7
            ids[:, at + 1 :] = 9
            previous[:, at + 1 :] = ids[:, at:-1]
            contexts[:, at, place + 1 :] = -1
            contexts[:, at + 1 :] = -1
            changed = inputs._replace(ids=ids, previous=previous, contexts=contexts)
            other_cells, other_ends = costs(net, changed, lengths)
            assert torch.allclose(other_cells[:, :at], cells[:, :at], atol=1e-5)
            assert torch.allclose(other_ends[:, : at + 1], ends[:, : at + 1], atol=1e-5)
            assert torch.allclose(other_cells[:, at, :place], cells[:, at, :place], atol=1e-5)
            assert not torch.allclose(other_cells[:, at, place], cells[:, at, place], atol=1e-5)


@pytest.mark.parametrize("kind", TINY)
def test_every_event_is_a_distribution_and_every_step_may_end(kind: str) -> None:
    net = stirred(TINY[kind])
    inputs, lengths = collate(EXAMPLES[:2])
    with torch.inference_mode():
        told, end = net(inputs)
        cells, ends = costs(net, inputs, lengths)
    for log_p in told:
        assert torch.allclose(log_p.exp().sum(dim=-1), torch.ones(log_p.shape[:2]), atol=1e-4)
    for row, length in enumerate(lengths.tolist()):
        assert (cells[row, :length] >= 0).all() and (cells[row, length:] == 0).all()
        stays = -torch.nn.functional.logsigmoid(-end[row, 1:length])
        assert ends[row, 0] == 0 and torch.allclose(ends[row, 1:length], stays)
        assert torch.allclose(ends[row, length], -torch.nn.functional.logsigmoid(end[row, length]))
        assert (ends[row, length + 1 :] == 0).all()


def test_measuring_does_not_depend_on_company() -> None:
    net = stirred(TINY["recurrent"])
    alone = measure([net], EXAMPLES[2:3])[0]
    among = measure([net], EXAMPLES)[2]
    assert np.allclose(alone.cells, among.cells, atol=1e-5) and alone.end == pytest.approx(among.end, abs=1e-4)


def test_an_average_charges_less_than_its_members_do_on_the_mean() -> None:
    nets = [stirred(replace(TINY["recurrent"], seed=seed)) for seed in range(3)]
    each = [figure([net], EXAMPLES, GRIDS).nats_per_cell for net in nets]
    together = figure(nets, EXAMPLES, GRIDS).nats_per_cell
    assert together < np.mean(each)
    assert figure([nets[0]] * 3, EXAMPLES, GRIDS).nats_per_cell == pytest.approx(each[0])


def test_voices_are_given_back_in_the_order_of_the_grid() -> None:
    net = stirred(TINY["recurrent"])
    inputs, lengths = collate(EXAMPLES[:1])
    with torch.inference_mode():
        cells, _ = costs(net, inputs, lengths)
    measured = measure([net], EXAMPLES[:1])[0].cells
    for place, voice in enumerate(net.config.order):
        assert np.allclose(measured[:, voice], cells[0, : len(measured), place].numpy(), atol=1e-5)


def test_a_network_begins_with_the_best_mixture_of_the_contexts() -> None:
    net = network(TINY["recurrent"])
    equal = figure([net], EXAMPLES[:1], GRIDS[:1]).nats_per_cell
    begin(net, EXAMPLES[:1])
    assert figure([net], EXAMPLES[:1], GRIDS[:1]).nats_per_cell < 0.8 * equal


@pytest.mark.parametrize("kind", TINY)
def test_training_lowers_the_cost_and_repeats(kind: str) -> None:
    seen: list[tuple[int, float]] = []
    nets = [network(TINY[kind]) for _ in range(2)]
    train(nets[0], EXAMPLES[:6], TINY[kind], lambda epoch, loss, _: seen.append((epoch, loss)))
    train(nets[1], EXAMPLES[:6], TINY[kind])
    assert [epoch for epoch, _ in seen] == [1, 2, 3] and seen[-1][1] < seen[0][1]
    one, other = (figure([net], EXAMPLES, GRIDS).nats_per_cell for net in nets)
    assert one == other


def test_an_epoch_holds_every_chorale_once_in_some_key() -> None:
    config = replace(TINY["recurrent"], batch=3, crop=16)
    drawn = [e for group in batches(EXAMPLES, config, 0) for e in group]
    assert len(drawn) == len(EXAMPLES) and all(len(e.ids) <= 16 for e in drawn)
    again = [e for group in batches(EXAMPLES, config, 0) for e in group]
    assert all(np.array_equal(a.ids, b.ids) for a, b in zip(drawn, again, strict=True))
    other = [e for group in batches(EXAMPLES, config, 1) for e in group]
    assert any(a.ids.shape != b.ids.shape or (a.ids != b.ids).any() for a, b in zip(drawn, other, strict=True))


def test_moving_and_cutting() -> None:
    whole: Example = EXAMPLES[0]
    up = whole.moved(5)
    sounding = whole.ids > 0
    assert (up.ids[sounding] == whole.ids[sounding] + 5).all() and (up.ids[~sounding] == 0).all()
    assert (up.previous[0] == N_IDS).all() and (up.previous[1:] == up.ids[:-1]).all()
    part = whole.cut(16, 8)
    assert (part.previous[0] == whole.ids[15]).all() and part.length == whole.length - 16 and part.phase[0] == 0


def test_settings_out_of_range_are_refused() -> None:
    for values in ({"epochs": 0}, {"crop": 100}, {"transposition": (1, 2)}, {"transposition": (-9, 2)}):
        with pytest.raises(RequestError):
            ChoraleTraining(**values)
    with pytest.raises(ModelError, match="recurrent, attending"):
        ChoraleConfig(body="convolving")
    with pytest.raises(ModelError, match="divide"):
        ChoraleConfig(d_model=30)


def test_the_command_trains_prints_and_reads_again(tmp_path: Path) -> None:
    splits = {"train": GRIDS[:3], "valid": GRIDS[3:4], "test": GRIDS[4:5]}
    (tmp_path / FILE).write_text(json.dumps({name: [g.tolist() for g in grids] for name, grids in splits.items()}))

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(SCRIPT), str(tmp_path), "--run", str(tmp_path / "run"), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    first = call("--members", "recurrent-0,attending-3", "--epochs", "1")
    assert first.returncode == 0, first.stderr
    assert "| recurrent-0 (" in first.stdout and "| average of 2 (" in first.stdout
    assert "not the standard split" in first.stderr
    with (tmp_path / "run" / "attending-3.csv").open(encoding="utf-8") as stream:
        curve = list(csv.DictReader(stream))
    assert [row["epoch"] for row in curve] == ["1"] and float(curve[0]["valid"]) > 0
    second = call("--members", "recurrent-0,attending-3", "--epochs", "1")
    assert second.stdout == first.stdout and "epoch 1" not in second.stderr
    wrong = call("--members", "recurrent")
    assert wrong.returncode == 2 and "recurrent-0" in wrong.stderr and "Traceback" not in wrong.stderr
