"""The composers that these tests drive: whatever the weights, a piece is what was asked for, so they are random."""

from __future__ import annotations

import numpy as np
import pytest

from musegen.compose import load
from musegen.compose.autoregressive import AutoregressiveComposer
from musegen.compose.diffusion import DiffusionComposer
from tests.compose.lively import lively


@pytest.fixture(scope="session")
def composer() -> AutoregressiveComposer:
    found = load("tiny-random")
    assert isinstance(found, AutoregressiveComposer)
    return found


@pytest.fixture(scope="session")
def singer() -> DiffusionComposer:
    """As `composer`, for piano rolls."""
    return DiffusionComposer("tiny-diffusion", lively(), {}, "0" * 12)


@pytest.fixture
def painter(singer: DiffusionComposer, monkeypatch: pytest.MonkeyPatch) -> DiffusionComposer:
    """The same, whose rolls are full since it takes no part for a voice."""
    monkeypatch.setattr("musegen.compose.canvas.voices_of", lambda *given: np.zeros(len(given[-1]), np.bool_))
    return singer
