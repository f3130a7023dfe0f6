from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from musegen.corpus.build import BuildConfig, build
from tests.tiny_corpus import tune, write_folder


@pytest.fixture(scope="session")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards of two sources."""
    root = tmp_path_factory.mktemp("corpus")
    folk = write_folder(
        root / "folk",
        [
            *((f"t{i}", tune(i, bars=6 + 4 * i), "train", "") for i in range(5)),
            ("v", tune(50), "valid", ""),
            ("w", tune(51), "test", ""),
        ],
    )
    bach = write_folder(
        root / "bach_m21",
        [
            *((f"t{i}", tune(100 + i, bars=9, voices=4, program=52), "train", "pickup") for i in range(3)),
            ("v", tune(150, voices=4, program=52), "valid", ""),
            ("w", tune(151, voices=4, program=52), "test", ""),
        ],
    )
    build([folk, bach], root / "shards", (), BuildConfig(workers=1))
    return root / "shards"


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Networks this small gain nothing from a second thread, and lose much beside a busy neighbour."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
