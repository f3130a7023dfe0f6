"""What every engine tells while it composes."""

from __future__ import annotations

from dataclasses import dataclass

from musegen.score.model import Score


@dataclass(frozen=True)
class Progress:
    """Piece `index` has `bars_done` of its `bars` new bars, in its draft `redraw` (0 is the first)."""

    index: int
    bars_done: int
    bars: int
    redraw: int = 0


@dataclass(frozen=True)
class Piece:
    """Piece `index` is finished, having been drawn again so often because it copied more than it might."""

    index: int
    score: Score
    redraws: int = 0
