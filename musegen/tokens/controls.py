"""What the head of a piece says of it beside what the score itself holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from musegen.errors import RequestError
from musegen.score.model import Score
from musegen.tokens.grid import Grid
from musegen.tokens.vocabulary import (
    DRUM_PROGRAM,
    DURATIONS,
    N_DENSITIES,
    N_POLYPHONIES,
    STEPS_PER_QUARTER,
    STYLES,
)

DROPPABLE = ("Style", "Key", "Tempo", "Bars", "Density", "Polyphony", "LOW")
"""Controls that may be left out of a head. LOW stands for the range: LOW, its pitch, HIGH, its pitch."""

_DENSITY_EDGES = 0.35 * 1.5 ** np.arange(N_DENSITIES - 1)
_STEPS = np.array(DURATIONS)


@dataclass(frozen=True)
class Controls:
    """What the head says beside metre, instruments, key and tempo, which the score itself holds; None says nothing.

    Attributes:
        style: one of STYLES.
        bars: whether the number of bars is said in the head too (each Bar says how many are left in any case).
        density: 1 to 10, notes a quarter on a scale of factors of 1.5.
        polyphony: 1 to 10, the most notes that sound at once.
        low, high: the lowest and the highest pitch; both or none.
    """

    style: str | None = None
    bars: bool = True
    density: int | None = None
    polyphony: int | None = None
    low: int | None = None
    high: int | None = None

    def __post_init__(self) -> None:
        if self.style is not None and self.style not in STYLES:
            raise RequestError(f"unknown style {self.style!r}; the styles are {', '.join(STYLES)}")
        for name in ("density", "polyphony"):
            value = getattr(self, name)
            if value is not None and not 1 <= value <= 10:
                raise RequestError(f"{name} is {value}; it goes from 1 to 10")
        if (self.low is None) != (self.high is None):
            raise RequestError("a range needs both its lowest and its highest pitch")


def density_of(score: Score) -> int:
    """The Density class, 1 to 10, of a score: pitched and percussion notes a quarter over all tracks."""
    return density_class(score.n_notes, score.end / score.ticks_per_beat)


def density_class(n_notes: int, quarters: float) -> int:
    """The Density class, 1 to 10, of so many notes in so many quarters."""
    return 1 + int(np.searchsorted(_DENSITY_EDGES, n_notes / max(1.0, quarters)))


def density_range(density: int) -> tuple[float, float]:
    """Notes a quarter between which a Density class, 1 to 10, lies; the highest has no end."""
    edges = [0.0, *(float(edge) for edge in _DENSITY_EDGES), float("inf")]
    return edges[density - 1], edges[density]


def controls_of(grid: Grid, style: str | None = None) -> Controls:
    """All that the head can say of these bars, as their notes show it."""
    drums = np.array([program == DRUM_PROGRAM for program in grid.programs], np.bool_)
    pitched = grid.notes[~drums[grid.notes["track"]]]
    steps = int(grid.starts[-1])
    return Controls(
        style=style,
        density=density_class(len(grid.notes), steps / STEPS_PER_QUARTER),
        polyphony=_polyphony(pitched["onset"], pitched["onset"] + _STEPS[pitched["duration"]]),
        low=int(pitched["pitch"].min()) if len(pitched) else None,
        high=int(pitched["pitch"].max()) if len(pitched) else None,
    )


def _polyphony(
    starts: np.ndarray[tuple[int], np.dtype[np.int64]], ends: np.ndarray[tuple[int], np.dtype[np.int64]]
) -> int:
    """The most notes that sound at once, within the 1 to 10 that the head can say."""
    if not len(starts):
        return 1
    change = np.repeat(np.array([1, -1]), len(starts))
    order = np.lexsort((change, np.concatenate([starts, ends])))
    return int(np.clip(np.cumsum(change[order]).max(), 1, N_POLYPHONIES))
