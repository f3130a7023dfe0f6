"""What developers watch (make bench): pytest-benchmark's figures are compared with those of the run before.

make bench PYTEST_OPTIONS="--benchmark-autosave --benchmark-compare"
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from musegen import checkpoint
from musegen.compose import Request, load
from musegen.decoding.filters import SamplingOptions
from musegen.engine import Decoder
from musegen.score.formats import read, to_bytes
from musegen.tokens import Remi

pytestmark = pytest.mark.bench

SAMPLE = Path(__file__).parents[2] / "midi_samples" / "jesu_joy.mid"
AT = 500
"""How many tokens stand before the ones that are read."""


@pytest.fixture(scope="module")
def network() -> Decoder:
    return checkpoint.load_decoder("transformer")[0]


@pytest.mark.parametrize("batch", [1, 4, 16])
def test_a_step(benchmark: Any, network: Decoder, batch: int) -> None:
    cache = network.new_cache(batch, 1024)
    ids = np.full(batch, 40)
    attributes = np.zeros((batch, len(network.config.attribute_sizes) + 2), np.int64)
    logits = benchmark(network.read, cache, ids, attributes, np.arange(batch), np.full(batch, AT), np.arange(batch))
    assert logits.shape == (batch, network.config.vocab_size)


def test_a_prompt(benchmark: Any, network: Decoder) -> None:
    ids = np.full(AT, 40)
    attributes = np.zeros((AT, len(network.config.attribute_sizes) + 2), np.int64)
    wanted = np.where(np.arange(AT) == AT - 1, 0, -1)
    cache = network.new_cache(1, AT)
    logits = benchmark(network.read, cache, ids, attributes, np.zeros(AT, np.int64), np.arange(AT), wanted)
    assert len(logits) == 1


@pytest.mark.parametrize("style", ["folk", "chorale", "piano"])
def test_a_piece_of_eight_bars(benchmark: Any, style: str) -> None:
    composer = load("transformer")
    request = Request(bars=8, style=style, meter=(4, 4), seed=1, sampling=SamplingOptions(min_p=0.01))
    [score] = benchmark(composer.compose, [request])
    assert score.n_notes


def test_loading(benchmark: Any) -> None:
    assert benchmark(checkpoint.load_decoder, "transformer")


@pytest.mark.parametrize("work", ["read", "write", "encode", "decode"])
def test_files_and_tokens(benchmark: Any, work: str) -> None:
    score = read(SAMPLE)
    ids = Remi().encode(score)
    jobs = {
        "read": lambda: read(SAMPLE),
        "write": lambda: to_bytes(score),
        "encode": lambda: Remi().encode(score),
        "decode": lambda: Remi().decode(ids),
    }
    assert benchmark(jobs[work]) is not None
