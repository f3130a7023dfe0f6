"""Two processes do the steps of one; on the CPU through gloo."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from musegen.errors import RequestError
from musegen.models import preset
from musegen.tokens import Remi
from musegen.train.config import TrainConfig
from musegen.train.data import Batch
from musegen.train.distributed import HERE, Place, agreed, choose_device, joined, parted, summed, whole
from musegen.train.loader import NO_TARGET, Packed, default_workers
from musegen.train.state import load_state, save_state, start
from musegen.train.trainer import steps

STEPS, N_ROWS, N_TOKENS = 6, 5, 24
CONFIG = TrainConfig(budget_steps=STEPS, batch_tokens=128, context=32, accumulate=2, lr=3e-3, ema_half_life=0.3)
SHAPE = preset("tiny", Remi.vocabulary.size, Remi.attribute_sizes, dropout=0.0, context=32)


class Noise:
    """A sampler of random batches: an odd number of rows, and every third batch has but one."""

    def batch(self, step: int) -> Batch:
        generator = torch.Generator().manual_seed(step)
        shape = (1 if step % 3 == 2 else N_ROWS, N_TOKENS)
        ids = torch.randint(100, shape, generator=generator)
        columns = [torch.randint(min(size, 24), shape, generator=generator) for size in (*SHAPE.attribute_sizes, 9, 9)]
        targets = torch.where(torch.rand(shape, generator=generator) < 0.3, NO_TARGET, ids.roll(-1, 1))
        return Batch(ids, torch.stack(columns, -1), targets)


def train_some(place: Place, folder: Path) -> list[float]:
    """Half of the run, saved and loaded again, then the other half; the losses."""
    run = start(SHAPE, CONFIG, place)
    losses = [float(summed(place, value)) for _, value in zip(range(STEPS // 2), steps(run, Noise()), strict=False)]
    save_state(run, folder)
    agreed(place, 0.0)  # the others wait for the file
    run = load_state(folder, place)
    losses += [float(summed(place, value)) for value in steps(run, Noise())]
    save_state(run, folder)
    return losses


@pytest.mark.parametrize("sharded", [False, True])
def test_two_processes_do_the_steps_of_one(sharded: bool, tmp_path: Path) -> None:
    expected = train_some(HERE, tmp_path / "one")
    words = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--rdzv-backend", "c10d", "--rdzv-endpoint",
             "localhost:0", "-m", "tests.train.test_distributed", str(tmp_path / "two"), str(int(sharded))]  # fmt: skip
    done = subprocess.run([sys.executable, *words], check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "two" / "losses.json").read_text()) == pytest.approx(expected, rel=1e-4)
    one, two = load_state(tmp_path / "one"), load_state(tmp_path / "two")
    assert (two.step, two.tokens) == (one.step, one.tokens) == (STEPS, one.tokens)
    for name, weight in one.average.items():
        torch.testing.assert_close(two.average[name], weight, rtol=1e-3, atol=1e-4)


def test_a_process_without_a_row_takes_part_and_learns_nothing() -> None:
    packed = Packed(torch.ones(2, 3, 12, dtype=torch.int16), 6)
    shares = [packed.share(Place(rank=rank, world=3)) for rank in range(3)]
    assert [batch.n_tokens for batch in shares] == [3, 3, 0]
    assert (shares[2].targets == NO_TARGET).all() and int(packed.columns.min()) == 1


def test_one_process_needs_nobody() -> None:
    with joined("cpu", narrow=False) as place:
        assert place == HERE and place.is_first and not place.is_accelerator
        assert agreed(place, 1.5, 0.0) == [1.5, 0.0]
        tensor = torch.ones(3)
        assert whole(tensor) is tensor and parted(tensor, tensor) is tensor and summed(place, tensor) is tensor
    with pytest.raises(RequestError, match="torchrun"), joined("cpu", sharded=True):
        pass


def test_a_cpu_that_multiplies_bfloat16_trains_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": True}, raising=False)
    with joined("cpu") as place, place.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.bfloat16
    with joined("cpu", narrow=False) as place, place.autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True, "avx512_bf16": False}, raising=False)
    with joined("cpu") as place:
        assert not place.narrow


def test_steps_in_bfloat16_learn_what_those_in_single_precision_do(tmp_path: Path) -> None:
    expected = train_some(HERE, tmp_path / "single")
    assert train_some(Place(narrow=True), tmp_path / "narrow") == pytest.approx(expected, rel=0.02)


def test_an_accelerator_has_processes_that_draw_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 192)
    assert default_workers(HERE) == 0
    assert default_workers(Place(torch.device("cuda"))) == 14
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")
    assert default_workers(Place(torch.device("cuda"))) == 1


def test_devices_that_are_not_there_are_refused() -> None:
    with pytest.raises(RequestError, match="auto, cpu, cuda"):
        choose_device("abacus")
    if not torch.cuda.is_available():
        assert choose_device("auto").type == "cpu"
        with pytest.raises(RequestError, match="--device cpu"):
            choose_device("cuda")


@pytest.mark.gpu
def test_an_accelerator_does_nearly_the_steps_of_a_cpu(tmp_path: Path) -> None:
    expected = train_some(HERE, tmp_path / "cpu")
    with joined("cuda") as place:
        assert train_some(place, tmp_path / "cuda") == pytest.approx(expected, rel=0.02)


if __name__ == "__main__":
    torch.set_num_threads(1)
    with joined("cpu", sharded=sys.argv[2] == "1", narrow=False) as here:
        said = train_some(here, Path(sys.argv[1]))
        if here.is_first:
            (Path(sys.argv[1]) / "losses.json").write_text(json.dumps(said))
