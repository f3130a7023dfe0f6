"""The JSB chorales benchmark: nats per voice and step of Bach's chorales on a grid of sixteenths.

Conventions: a chorale is a grid (T, 4) of MIDI pitches, soprano, alto, tenor and bass, REST where a voice is silent,
as in Jsb16thSeparated.json of Boulanger-Lewandowski's pieces in their standard split (229 train, 76 valid, 77 test).
The grid does not tell a held note from one struck again, so they are one event. A piece is the events of its steps,
voice after voice, and an end; see `to_events`, which loses nothing. The figure is

    sum over pieces of -ln p(events, end)  /  sum over pieces of 4 T,

every event charged, the first step and the end among them, each given what came before it and nothing else: no key,
no metre, no chords. It is a micro-average: a long piece weighs more. Huang et al., "Music Transformer", 2018, report
0.335 on the valid split for theirs and 0.417 for their baseline.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from musegen.errors import FileFormatError, RequestError

FILE = "Jsb16thSeparated.json"
SPLITS = {"train": 229, "valid": 76, "test": 77}
"""Pieces of the standard split."""
VOICES = ("soprano", "alto", "tenor", "bass")
REST = -1
HOLD = -2
"""The event of a voice that stays as it was."""
END = -3

Grid = npt.NDArray[np.int16]


@dataclass(frozen=True, eq=False)
class Cost:
    """What a model charges for one piece, in nats: `cells` (T, 4) in the order of VOICES, and `end`.

    `end` is the cost of not ending before every step but the first, and of ending after the last.
    """

    cells: npt.NDArray[np.float64]
    end: float


@dataclass(frozen=True)
class Figure:
    """The sums over pieces: nats of each voice and of the ends, and steps."""

    voices: tuple[float, float, float, float]
    ends: float
    steps: int
    pieces: int

    @property
    def nats_per_cell(self) -> float:
        """Nats per voice and step, everything charged."""
        return (sum(self.voices) + self.ends) / (4 * self.steps)

    @property
    def by_voice(self) -> tuple[float, ...]:
        """Nats per step of each voice, without the ends."""
        return tuple(nats / self.steps for nats in self.voices)


def read(path: Path) -> dict[str, list[Grid]]:
    """The chorales of each split out of Jsb16thSeparated.json, or of the folder that holds it.

    Raises:
        FileFormatError: if there is no such file, or it is none.
    """
    path = path / FILE if path.is_dir() else path
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise FileFormatError(f"{path}: no such file; give {FILE} or the folder that holds it") from None
    except (OSError, ValueError) as error:
        raise FileFormatError(f"{path}: cannot be read as JSON ({error}); get it again") from error
    if not isinstance(data, dict) or any(not isinstance(data.get(split), list) for split in SPLITS):
        raise FileFormatError(f"{path}: holds no lists named {', '.join(SPLITS)}")
    return {split: [_grid(piece, f"{path}, {split} {i}") for i, piece in enumerate(data[split])] for split in SPLITS}


def _grid(piece: Any, where: str) -> Grid:
    try:
        grid = np.array(piece, np.int16)
    except (TypeError, ValueError, OverflowError) as error:
        raise FileFormatError(f"{where}: steps must have four whole numbers each") from error
    try:
        validate([grid])
    except RequestError as error:
        raise FileFormatError(f"{where}: {error}") from error
    return grid


def validate(grids: Sequence[Grid]) -> None:
    """Raise RequestError unless there are grids (T, 4), T at least 1, of MIDI pitches and RESTs."""
    if not grids:
        raise RequestError("no chorales; there is nothing to measure")
    for grid in grids:
        if grid.ndim != 2 or grid.shape[1] != len(VOICES) or not len(grid):
            raise RequestError(f"a grid of shape {grid.shape}; it is (steps, {len(VOICES)}), one step at least")
        if ((grid < 0) & (grid != REST)).any() or (grid > 127).any():
            raise RequestError(f"pitches {grid.min()} to {grid.max()}; they are 0 to 127, and {REST} for a rest")


def to_events(grid: Grid) -> npt.NDArray[np.int16]:
    """The events of a piece, (4 T + 1,): for each step and voice HOLD, a pitch or REST; then END."""
    events = grid.copy()
    events[1:][grid[1:] == grid[:-1]] = HOLD
    return np.append(events.ravel(), np.int16(END))


def from_events(events: npt.NDArray[np.int16]) -> Grid:
    """The inverse of `to_events`.

    Raises:
        RequestError: if the events do not end, or end within a step.
    """
    if not len(events) or events[-1] != END or (len(events) - 1) % 4 or (events[:-1] == END).any():
        raise RequestError("events of a chorale are four a step, and END after the last")
    steps = events[:-1].reshape(-1, 4)
    said = np.where(steps == HOLD, 0, np.arange(len(steps))[:, None])
    return np.take_along_axis(steps, np.maximum.accumulate(said, axis=0), axis=0)


def evaluate(costs: Sequence[Cost], grids: Sequence[Grid]) -> Figure:
    """Sum up what a model charged for these pieces.

    Raises:
        RequestError: if there are none, or a cost is not of its grid's shape, or not finite.
    """
    validate(grids)
    for cost, grid in zip(costs, grids, strict=True):
        if cost.cells.shape != grid.shape or not np.isfinite(cost.cells).all() or not np.isfinite(cost.end):
            raise RequestError("a cost must be finite and of the shape of its chorale")
    voices = np.sum([cost.cells.sum(axis=0) for cost in costs], axis=0)
    soprano, alto, tenor, bass = voices.tolist()
    return Figure((soprano, alto, tenor, bass), sum(cost.end for cost in costs), sum(map(len, grids)), len(grids))


def markdown_table(figures: Mapping[str, Mapping[str, Figure]]) -> str:
    """One row a model, nats per voice and step on each split, then nats per step of each voice on the last split."""
    splits = list(next(iter(figures.values())))
    head = [*splits, *(f"{voice}, {splits[-1]}" for voice in VOICES), f"ends, {splits[-1]}"]
    lines = [f"| | {' | '.join(head)} |", f"|---|{'---:|' * len(head)}"]
    for name, by_split in figures.items():
        last = by_split[splits[-1]]
        numbers = [by_split[split].nats_per_cell for split in splits]
        numbers += [*last.by_voice, last.ends / last.steps]
        lines.append(f"| {name} | {' | '.join(f'{number:.4f}' for number in numbers)} |")
    return "\n".join(lines)
