from __future__ import annotations

import math
import runpy
import shutil
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
from musegen.errors import ModelError, RequestError
from musegen.evaluate.likelihood import Likelihood
from musegen.models import ModelConfig, preset
from musegen.shapes import BAR
from musegen.tokens import Remi
from musegen.train.config import TrainConfig
from musegen.train.curve import (
    CURVE_FILE,
    LOG_FILE,
    append_log,
    draw_curve,
    measures_since_best,
    read_log,
    trim_log,
)
from musegen.train.data import POOL_BATCHES, Sampler
from musegen.train.distributed import HERE
from musegen.train.loader import read_ahead
from musegen.train.objective import scorer
from musegen.train.session import Wishes, new_run
from musegen.train.ship import command, ship, usual_style
from musegen.train.state import STATE_FILE, Run, averaged, load_state, save_state, start
from musegen.train.trainer import Habits, measure, steering_pieces, steps, train

CONFIG = TrainConfig(budget_steps=20, batch_tokens=256, context=128, lr=3e-3, ema_half_life=0.1)
SCRIPT = Path(__file__).parents[2] / "scripts" / "train_pretrained.py"


def shape(name: str = "tiny") -> ModelConfig:
    return preset(name, Remi.vocabulary.size, Remi.attribute_sizes)


@pytest.fixture(scope="module")
def splits(shards: Path) -> tuple[Split, Split]:
    return load_split(shards, "train"), load_split(shards, "valid")


def take(run: Run, sampler: Sampler, n: int) -> list[float]:
    return [float(value) for _, value in zip(range(n), steps(run, sampler), strict=False)]


def same_weights(a: Run, b: Run) -> bool:
    pairs = zip(a.model.parameters(), b.model.parameters(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs) and all(
        torch.equal(t, b.average[name]) for name, t in a.average.items()
    )


@pytest.mark.parametrize("name", ["tiny", "tiny-lstm"])
def test_a_resumed_run_is_the_undisturbed_one(name: str, splits: tuple[Split, Split], tmp_path: Path) -> None:
    sampler = Sampler(splits[0], CONFIG)
    whole = start(shape(name), CONFIG)
    losses = [float(value) for value in steps(whole, sampler)]
    assert len(losses) == whole.step == 20
    assert np.mean(losses[-4:]) < losses[0] - 0.5

    broken = start(shape(name), CONFIG)
    first = take(broken, sampler, 8)
    save_state(broken, tmp_path)
    resumed = load_state(tmp_path)
    assert (resumed.step, resumed.tokens, resumed.config) == (broken.step, broken.tokens, CONFIG)
    assert same_weights(resumed, broken)
    rest = [float(value) for value in steps(resumed, Sampler(splits[0], CONFIG), workers=1)]
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


def test_accumulated_batches_are_one_step_on_all_of_them(splits: tuple[Split, Split]) -> None:
    sampler = Sampler(splits[0], CONFIG)
    run = start(replace(shape(), dropout=0.0), replace(CONFIG, accumulate=3))
    parts = [sampler.batch(k) for k in range(3)]
    logits = [run.model(part.ids, part.attributes).flatten(0, 1) for part in parts]
    targets = torch.cat([part.targets.flatten() for part in parts])
    expected = torch.nn.functional.cross_entropy(torch.cat(logits), targets)
    (value,) = take(run, sampler, 1)
    assert value == pytest.approx(expected.item(), rel=1e-5)
    assert run.tokens == sum(part.n_tokens for part in parts)
    assert next(read_ahead(sampler, run.step * 3, 0)).n_targets == sampler.batch(3).n_tokens


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_come_in_order_whoever_draws_them(workers: int, splits: tuple[Split, Split]) -> None:
    sampler, first = Sampler(splits[0], CONFIG), POOL_BATCHES - 3
    stream = read_ahead(sampler, first, workers)
    for step in range(first, 2 * POOL_BATCHES + 2):
        packed, drawn = next(stream), sampler.batch(step)
        shared = packed.share(start(shape(), CONFIG).place)
        assert torch.equal(shared.ids, drawn.ids) and torch.equal(shared.targets, drawn.targets)
        assert torch.equal(shared.attributes, drawn.attributes) and shared.attributes.dtype == torch.int64
        assert packed.n_targets == drawn.n_tokens


def test_batches_say_in_which_bar_a_token_stands(splits: tuple[Split, Split]) -> None:
    batch = Sampler(splits[0], CONFIG).batch(0)
    assert batch.attributes.shape[-1] == len(shape().attribute_sizes) + 2
    assert int(batch.attributes[..., BAR].max()) > 0


def test_training_logs_measures_and_saves(splits: tuple[Split, Split], tmp_path: Path) -> None:
    config = replace(CONFIG, budget_steps=30)
    run = start(shape(), config)
    before = measure(run, splits[1])["all"].nats_per_note
    lines: list[str] = []
    saved: list[int] = []
    habits = Habits(save_seconds=0.0, measure_seconds=3600.0)
    result = train(run, *splits, tmp_path, habits, report=lines.append, after_save=lambda run: saved.append(run.step))
    assert result["all"].nats_per_note < before - 0.2
    rows = read_log(tmp_path)
    assert [int(row["step"]) for row in rows] == [*range(1, 31), 30]
    assert saved == [*range(1, 31), 30, 30]
    assert all(float(row["train_loss"]) > 0 for row in rows[:-1])
    assert [row["valid_nats_per_note"] != "" for row in rows] == [False] * 30 + [True]
    assert float(rows[-1]["valid_nats_per_note"]) == pytest.approx(result["all"].nats_per_note, abs=1e-4)
    assert f"valid_nats_per_note {rows[-1]['valid_nats_per_note']}" in lines[-1]
    picture = (tmp_path / CURVE_FILE).read_bytes()
    assert picture.startswith(b"\x89PNG")


def test_a_measure_on_the_way_takes_some_pieces_of_each_source(splits: tuple[Split, Split], tmp_path: Path) -> None:
    learned, valid = splits  # many short pieces of one source, few of the other
    chosen = steering_pieces(learned, 2, 10_000)
    assert sorted(piece.source for piece in chosen) == ["bach_m21", "bach_m21", "folk", "folk"]
    shortest = sorted(len(piece.ids) for piece in learned if piece.source == "folk")[:2]
    few = [len(piece.ids) for piece in steering_pieces(learned, 2, 1) if piece.source == "folk"]
    assert sorted(few) == shortest
    run = start(shape(), replace(CONFIG, budget_steps=3))
    train(run, learned, valid, tmp_path, Habits(save_seconds=3600.0, measure_seconds=0.0))
    measured = [row["step"] for row in read_log(tmp_path) if row["valid_nats_per_note"]]
    assert measured == ["1", "2", "3", "3"]


def test_a_log_forgets_what_a_killed_run_wrote_after_its_state(tmp_path: Path) -> None:
    trim_log(tmp_path, 0)
    assert not draw_curve(tmp_path)
    for step in (20, 40, 60):
        append_log(tmp_path, {"step": step, "seconds": 1, "tokens": 1, "lr": 1, "train_loss": 3.0 - step / 100,
                              "valid_nats_per_note": "", "valid_by_source": ""})  # fmt: skip
    with (tmp_path / LOG_FILE).open("a") as stream:
        stream.write("80,1")  # killed here
    assert [row["step"] for row in read_log(tmp_path)] == ["20", "40", "60"]
    trim_log(tmp_path, 40)
    assert [row["step"] for row in read_log(tmp_path)] == ["20", "40"]
    assert draw_curve(tmp_path) and (tmp_path / CURVE_FILE).stat().st_size > 1000


@pytest.mark.parametrize(
    ("measures", "since"),
    [([], 0), ([2.0], 0), ([2.0, 1.0, 1.5], 1), ([1.0, 2.0, 1.0], 2), ([1.0, 2.0, 0.5], 0), ([1.0, math.nan], 1)],
)
def test_the_log_tells_how_long_ago_the_best_measure_was(tmp_path: Path, measures: list[float], since: int) -> None:
    trim_log(tmp_path, 0)
    for step, value in enumerate(measures):
        for cell in (value, ""):  # most rows have no measure
            append_log(tmp_path, {"step": step, "valid_nats_per_note": cell})
    assert measures_since_best(tmp_path) == since


def test_a_run_may_begin_with_a_model(tmp_path: Path) -> None:
    model = start(shape(), CONFIG).model
    checkpoint.save(tmp_path / "known.safetensors", model, {})
    wishes = Wishes(steps=3, base=str(tmp_path / "known.safetensors"), model_options={"dropout": 0.3})
    run = new_run(wishes, HERE)
    assert run.model.config == replace(model.config, dropout=0.3)
    for name, parameter in run.model.named_parameters():
        torch.testing.assert_close(parameter, model.state_dict()[name], rtol=1e-3, atol=1e-4)  # half precision
    with pytest.raises(ModelError, match="nowhere"):
        new_run(replace(wishes, base="nowhere"), HERE)


def test_a_loss_that_is_not_finite_ends_the_run_before_it_is_saved(splits: tuple[Split, Split], tmp_path: Path) -> None:
    run = start(shape(), CONFIG)
    with torch.no_grad():
        next(run.model.parameters()).fill_(torch.nan)
    with pytest.raises(RequestError, match="lower lr"):
        train(run, *splits, tmp_path, Habits(save_seconds=0.0))
    assert not (tmp_path / STATE_FILE).exists()


def test_a_damaged_or_missing_state_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="start the run anew"):
        load_state(tmp_path)
    (tmp_path / STATE_FILE).write_bytes(b"no tensors")
    with pytest.raises(ModelError, match="start the run anew"):
        load_state(tmp_path)


def test_the_averaged_weights_are_a_model_of_their_own(splits: tuple[Split, Split]) -> None:
    run = start(shape(), CONFIG)
    take(run, Sampler(splits[0], CONFIG), 5)
    model = averaged(run)
    assert not model.training
    for (name, parameter), own in zip(model.named_parameters(), run.model.parameters(), strict=True):
        assert torch.equal(parameter, run.average[name]) and not torch.equal(parameter, own)


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
    table = ship(run, path, info, *splits[:2], load_split(shards, "test"), "a machine")
    model, card = checkpoint.load(path)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter, run.average[name], rtol=1e-3, atol=1e-4)
    assert card["styles"] == ["chorale", "folk"] and card["default_style"] == "folk"
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


@pytest.mark.parametrize(
    ("styles", "usual"),
    [
        ([{"hymn": 3}], "hymn"),
        ([{"": 3}], None),
        ([{"hymn": 3, "": 2}, {"folk": 2}, {"folk": 2}], "folk"),
        ([{"": 4, "hymn": 3}, {}], None),
    ],
)
def test_the_style_that_most_of_the_training_pieces_have(styles: list[dict[str, int]], usual: str | None) -> None:
    sources = {str(k): {"counts": {"train": {"styles": of}}} for k, of in enumerate(styles)}
    assert usual_style(sources) == usual


def test_the_script_measures_valid_once(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def told(scorer: object, pieces: Split, context: int) -> dict[str, Likelihood]:
        calls.append(len(pieces))
        return {"all": Likelihood(10.0, 5, 4, 1, 2.0)}

    monkeypatch.setattr("musegen.train.objectives.evaluate", told)
    n_valid, n_test = (len(load_split(shards, split)) for split in ("valid", "test"))
    words = script(shards, tmp_path / "run", "--steps", "1", "--name", "mini", "--to", str(tmp_path))
    monkeypatch.setattr(sys, "argv", words[1:])
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert left.value.code == 0
    assert calls == [n_valid, n_test]
    assert checkpoint.card(tmp_path / "mini.safetensors")["nats_per_note"] == {
        "valid": {"all": 2.5},
        "test": {"all": 2.5},
    }


COMMAND = ["--preset", "tiny", "--model-option", "context=96", "--train-option", "batch_tokens=96"]


def script(shards: Path, run: Path, *words: str) -> list[str]:
    return [sys.executable, str(SCRIPT), str(shards), *COMMAND, "--device", "cpu", "--run", str(run), *words]


def stopped(command: list[str], state: Path, number: int) -> tuple[int, str]:
    """Run the command, send it a signal once it has saved a state; its exit status and what it said."""
    before = state.stat().st_mtime_ns if state.exists() else 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if state.exists() and state.stat().st_mtime_ns != before:
                break
            time.sleep(0.01)
        process.send_signal(number)
        _, said = process.communicate(timeout=60)
    return process.returncode, said


def test_a_run_killed_or_stopped_goes_on_to_the_same_weights(shards: Path, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    command = script(shards, folder, "--steps", "200", "--save-every", "0.01s", "--measure-every", "1h")
    stopped(command, folder / STATE_FILE, signal.SIGKILL)
    killed = load_state(folder).step
    assert 0 < killed < 200
    status, said = stopped([*command, "--workers", "2"], folder / STATE_FILE, signal.SIGTERM)
    step = load_state(folder).step
    assert status == 128 + signal.SIGTERM and f"stopped by SIGTERM at step {step}" in said
    assert killed < step < 200
    for name in ("broken", "undisturbed"):
        subprocess.run(script(shards, tmp_path / name, "--steps", "200"), check=True, capture_output=True)
    assert same_weights(load_state(tmp_path / "broken"), load_state(tmp_path / "undisturbed"))


def test_exported_parts_are_shipped_elsewhere(shards: Path, tmp_path: Path) -> None:
    parts, run = tmp_path / "parts", tmp_path / "run"
    subprocess.run(script(shards, run, "--steps", "2", "--export", str(parts)), check=True, capture_output=True)
    shutil.rmtree(run)
    command = script(shards, run, "--import", str(parts), "--name", "mini", "--to", str(tmp_path))
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "| test |" in done.stdout
    model, card = checkpoint.load(tmp_path / "mini.safetensors")
    assert card["steps"] == 2 and model.config.context == 96
    assert (run / CURVE_FILE).exists() and read_log(run) == read_log(parts) != []
    (parts / "part-0.safetensors").unlink()
    failed = subprocess.run(command, check=False, capture_output=True, text=True)
    assert failed.returncode == 2 and "copy the whole folder" in failed.stderr
