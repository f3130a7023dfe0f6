"""Why a piece is left out of the corpus: small checks of one shape, each with a name that drops are counted under."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from musegen.corpus.manifest import Source
from musegen.score.model import Score, Track
from musegen.score.timing import n_bars

GRID = 24
"""Steps a quarter note of the token grid."""


@dataclass(frozen=True)
class CleanConfig:
    """What a piece must hold to be learned from."""

    min_bars: int = 4
    """Shorter pieces are fragments that teach early endings."""
    max_bars: int = 256
    """Longer pieces are movements, not songs, and would dominate sampling by length."""
    max_off_grid: float = 0.05
    """Largest share of notes whose onset or duration is off the grid of 24 steps a quarter."""
    max_bar_tokens: int = 192
    """A bar with more tokens than this fits no training window with some context before it."""


def off_grid_share(score: Score, steps: int = GRID) -> float:
    """Share (0..1) of notes whose onset or duration is not a whole number of steps (`steps` a quarter)."""
    notes = [track.notes for track in score.tracks if len(track.notes)]
    if not notes:
        return 0.0
    start = np.concatenate([n["start"] for n in notes]) * steps % score.ticks_per_beat
    duration = np.concatenate([n["duration"] for n in notes]) * steps % score.ticks_per_beat
    return float(np.mean((start != 0) | (duration != 0)))


def level_velocities(score: Score, velocity: int = 84) -> Score:
    """The score with every note at one velocity, by default the one that tokens begin with."""

    def level(track: Track) -> Track:
        notes = track.notes.copy()
        notes["velocity"] = velocity
        return replace(track, notes=notes)

    return score.with_tracks(level(track) for track in score.tracks)


def reason_to_drop(score: Score, source: Source, config: CleanConfig) -> str | None:
    """Name the first reason to leave this piece out, or None to keep it."""
    sounding = [track for track in score.tracks if len(track.notes)]
    if not sounding:
        return "no notes"
    if len(sounding) not in source.n_tracks:
        wanted = " or ".join(str(n) for n in source.n_tracks)
        return f"not {wanted} track{'' if wanted == '1' else 's'}, which style {source.style} asks for"
    bars = n_bars(score)
    if bars < config.min_bars:
        return f"shorter than {config.min_bars} bars"
    if bars > config.max_bars:
        return f"longer than {config.max_bars} bars"
    if off_grid_share(score) > config.max_off_grid:
        return f"more than {config.max_off_grid:.0%} of notes off the grid of {GRID} a quarter"
    return None
