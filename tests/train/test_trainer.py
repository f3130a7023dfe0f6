from __future__ import annotations

import csv
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from musegen import checkpoint
from musegen.corpus.shards import Split, load_info, load_split
from musegen.errors import ModelError
from musegen.models import ModelConfig, preset
from musegen.tokens import Remi
from musegen.train.config import TrainConfig
from musegen.train.data import Sampler
from musegen.train.objective import scorer
from musegen.train.ship import command, ship
from musegen.train.trainer import (
    LOG_FILE,
    STATE_FILE,
    Run,
    append_log,
    averaged,
    load_state,
    measure,
    save_state,
    start,
    steps,
    train,
)

CONFIG = TrainConfig(budget_steps=20, batch_tokens=256, context=128, lr=3e-3, ema_half_life=0.1)
SCRIPT = Path(__file__).parents[2] / "scripts" / "train_pretrained.py"


def shape(name: str = "tiny") -> ModelConfig:
    return preset(name, Remi.vocabulary.size, Remi.attribute_sizes)


@pytest.fixture(scope="module")
def splits(shards: Path) -> tuple[Split, Split]:
    return load_split(shards, "train"), load_split(shards, "valid")


def take(run: Run, sampler: Sampler, n: int) -> list[float]:
    return [value for _, value in zip(range(n), steps(run, sampler), strict=False)]


def same_weights(a: Run, b: Run) -> bool:
    pairs = zip(a.model.parameters(), b.model.parameters(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs) and all(
        torch.equal(t, b.average[name]) for name, t in a.average.items()
    )


@pytest.mark.parametrize("name", ["tiny", "tiny-lstm"])
def test_a_resumed_run_is_the_undisturbed_one(name: str, splits: tuple[Split, Split], tmp_path: Path) -> None:
    sampler = Sampler(splits[0], CONFIG)
    whole = start(shape(name), CONFIG)
    losses = list(steps(whole, sampler))
    assert len(losses) == whole.step == 20
    assert np.mean(losses[-4:]) < losses[0] - 0.5

    broken = start(shape(name), CONFIG)
    first = take(broken, sampler, 8)
    save_state(broken, tmp_path)
    resumed = load_state(tmp_path)
    assert (resumed.step, resumed.tokens, resumed.config) == (broken.step, broken.tokens, CONFIG)
    assert same_weights(resumed, broken)
    rest = list(steps(resumed, Sampler(splits[0], CONFIG)))
    assert losses[: len(first)] == first
    assert losses[len(losses) - len(rest) :] == rest
    assert same_weights(resumed, whole)


def test_a_budget_in_time_ends_in_time_and_counts_over_a_break(splits: tuple[Split, Split], tmp_path: Path) -> None:
    config = replace(CONFIG, budget_steps=0, budget_seconds=1.0)
    run = start(shape(), config)
    began = time.monotonic()
    for _ in steps(run, Sampler(splits[0], config)):
        pass
    assert 1.0 <= run.seconds < 3.0
    assert time.monotonic() - began < 4.0
    assert run.optimizer.param_groups[0]["lr"] < 0.5 * config.lr
    save_state(run, tmp_path)
    assert list(steps(load_state(tmp_path), Sampler(splits[0], config))) == []


def test_training_logs_measures_and_saves(splits: tuple[Split, Split], tmp_path: Path) -> None:
    run = start(shape(), CONFIG)
    before = measure(run, splits[1])["all"].nats_per_note
    lines: list[str] = []
    result = train(run, *splits, tmp_path, save_seconds=0.0, report=lines.append)
    assert result["all"].nats_per_note < before - 0.2
    with (tmp_path / LOG_FILE).open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [int(row["step"]) for row in rows] == list(range(1, 21))
    assert len(lines) >= 20
    assert float(rows[-1]["valid_nats_per_note"]) == pytest.approx(result["all"].nats_per_note, abs=1e-4)
    append_log(tmp_path, {**dict.fromkeys(rows[0], ""), "step": 5})
    assert (tmp_path / LOG_FILE).read_text().count("\n") == 6  # a header, 1 to 4 and the new 5


def test_a_damaged_or_missing_state_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="start the run anew"):
        load_state(tmp_path)
    (tmp_path / STATE_FILE).write_bytes(b"no tensors")
    with pytest.raises(ModelError, match="start the run anew"):
        load_state(tmp_path)


def test_the_averaged_weights_are_lent_only(splits: tuple[Split, Split]) -> None:
    run = start(shape(), CONFIG)
    take(run, Sampler(splits[0], CONFIG), 5)
    own = [p.detach().clone() for p in run.model.parameters()]
    with averaged(run) as model:
        for name, parameter in model.named_parameters():
            assert torch.equal(parameter, run.average[name])
    assert all(torch.equal(a, b) for a, b in zip(own, run.model.parameters(), strict=True))
    assert any(not torch.equal(a, run.average[n]) for a, (n, _) in zip(own, run.model.named_parameters(), strict=True))


def test_scores_do_not_depend_on_the_batch(splits: tuple[Split, Split]) -> None:
    model = start(shape(), CONFIG).model
    sequences = [(p.ids[:n], p.attributes[:n]) for p in splits[1] for n in (20, 90, 33)]
    together = scorer(model)(sequences)
    for sequence, losses in zip(sequences, together, strict=True):
        (alone,) = scorer(model, batch_tokens=1)([sequence])
        assert len(alone) == len(sequence[0]) - 1
        np.testing.assert_allclose(losses, alone, rtol=1e-4)


def test_a_shipped_model_is_the_average_with_its_card(
    shards: Path, splits: tuple[Split, Split], tmp_path: Path
) -> None:
    run = start(shape(), CONFIG)
    take(run, Sampler(splits[0], CONFIG), 3)
    info = load_info(shards)
    path = tmp_path / "mini.safetensors"
    table = ship(run, path, info, splits[1], load_split(shards, "test"), "a machine")
    model, card = checkpoint.load(path)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter, run.average[name], rtol=1e-3, atol=1e-4)
    assert card["styles"] == ["chorale", "folk"]
    assert card["steps"] == 3
    text = path.with_suffix(".md").read_text(encoding="utf-8")
    assert table in text
    for source in info["sources"].values():
        assert source["licence"] in text
        assert source["credit"] in text
    assert "--steps 20" in text
    assert "d_model=32" in text
    assert "lr=0.003" in text
    assert "clip" not in command("mini", run)


def test_a_killed_run_goes_on_to_the_same_weights(shards: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), str(shards), "--preset", "tiny", "--steps", "60"]
    command += ["--model-option", "context=96", "--train-option", "batch_tokens=96"]
    state = tmp_path / "killed" / STATE_FILE
    with subprocess.Popen([*command, "--run", str(state.parent), "--save-every", "0.01s"]) as process:
        deadline = time.monotonic() + 60
        while not state.exists() and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    killed = load_state(state.parent)
    assert 0 < killed.step < 60
    for folder in ("killed", "undisturbed"):
        subprocess.run([*command, "--run", str(tmp_path / folder)], check=True, capture_output=True)
    assert same_weights(load_state(tmp_path / "killed"), load_state(tmp_path / "undisturbed"))
