"""Why a piece is left out of the corpus: small checks of one shape, each with a name that drops are counted under."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from musegen.corpus.sources import Source
from musegen.score.model import Array, Score, Track
from musegen.score.timing import n_bars
from musegen.tokens.vocabulary import MAX_TRACKS, METRES, STEPS_PER_QUARTER


@dataclass(frozen=True)
class CleanConfig:
    """What a piece must hold to be learned from."""

    min_bars: int = 4
    """Shorter pieces are fragments that teach early endings."""
    max_bars: int = 2000
    """Longer ones are no piece that a window of training could stand for."""
    max_bar_tokens: int = 384
    """A bar with more tokens than this fits no training window with some context before it."""
    min_notes_a_bar: float = 0.5
    """Fewer notes are silence with something in it."""
    max_one_pitch: float = 0.9
    """Largest share of notes on one pitch, of at least 16; percussion does not count."""
    max_cut_bars: float = 0.1
    """Largest share of bars that a change of metre cuts short; one always may be."""


def off_grid_share(score: Score, steps: int = STEPS_PER_QUARTER) -> float:
    """Share (0..1) of pitched notes whose onset is more than a tick off a whole step (`steps` a quarter).

    Durations do not count: notation programs end notes early by rule, and rounding mends it.
    """
    starts = _all(score, "start", drums=False) * steps
    if not len(starts):
        return 0.0
    off = starts % score.ticks_per_beat
    return float(np.mean(np.minimum(off, score.ticks_per_beat - off) > steps))


def _all(score: Score, name: str, *, drums: bool) -> Array:
    """One field of all notes of all tracks."""
    return np.concatenate(
        [np.zeros(0, np.int64), *(track.notes[name] for track in score.tracks if drums or not track.is_drum)]
    )


def level(score: Score, source: Source) -> Score:
    """The score, equally loud where its velocities say nothing of the music (`Source.levelled_up_to`)."""
    few = len(np.unique(_all(score, "velocity", drums=True))) <= source.levelled_up_to
    return level_velocities(score) if few else score


def level_velocities(score: Score, velocity: int = 84) -> Score:
    """The score with every note at one velocity, by default the one that tokens begin with."""

    def levelled(track: Track) -> Track:
        notes = track.notes.copy()
        notes["velocity"] = velocity
        return replace(track, notes=notes)

    return score.with_tracks(levelled(track) for track in score.tracks)


def reason_to_drop(score: Score, source: Source, config: CleanConfig) -> str | None:
    """Name the first reason to leave this piece out, or None to keep it."""
    return next((reason for check in _CHECKS if (reason := check(score, source, config)) is not None), None)


def _notes(score: Score, source: Source, config: CleanConfig) -> str | None:  # noqa: ARG001  # checks have one shape
    return None if score.n_notes else "no notes"


def _tracks(score: Score, source: Source, config: CleanConfig) -> str | None:  # noqa: ARG001  # likewise
    n = sum(len(track.notes) > 0 for track in score.tracks)
    if source.n_tracks and n not in source.n_tracks:
        wanted = " or ".join(str(n) for n in source.n_tracks)
        return f"not {wanted} track{'' if wanted == '1' else 's'}, which style {source.style} asks for"
    return f"more than {MAX_TRACKS} tracks" if n > MAX_TRACKS else None


def _metre(score: Score, source: Source, config: CleanConfig) -> str | None:  # noqa: ARG001  # likewise
    last = int(_all(score, "start", drums=True).max())
    metres = [m for m in score.time_signatures if m.time <= last]
    if any((m.numerator, m.denominator) not in METRES for m in metres):
        return "a metre that tokens cannot hold"
    cut = sum(
        (after.time - metre.time) % metre.ticks_per_bar(score.ticks_per_beat) != 0 for metre, after in pairwise(metres)
    )
    return "broken metre: its changes cut bars short" if cut > max(1, config.max_cut_bars * n_bars(score)) else None


def _length(score: Score, source: Source, config: CleanConfig) -> str | None:  # noqa: ARG001  # likewise
    bars = n_bars(score)
    if bars < config.min_bars:
        return f"shorter than {config.min_bars} bars"
    if bars > config.max_bars:
        return f"longer than {config.max_bars} bars"
    return "nearly silent" if score.n_notes < config.min_notes_a_bar * bars else None


def _pitches(score: Score, source: Source, config: CleanConfig) -> str | None:  # noqa: ARG001  # likewise
    pitches = _all(score, "pitch", drums=False).astype(np.int64)
    one = len(pitches) >= 16 and np.bincount(pitches).max() > config.max_one_pitch * len(pitches)
    return "one pitch for ever" if one else None


def _grid(score: Score, source: Source, config: CleanConfig) -> str | None:  # noqa: ARG001  # likewise
    if off_grid_share(score) > source.max_off_grid:
        return f"more than {source.max_off_grid:.0%} of notes off the grid of {STEPS_PER_QUARTER} a quarter"
    return None


_CHECKS: tuple[Callable[[Score, Source, CleanConfig], str | None], ...] = (
    _notes, _tracks, _metre, _length, _pitches, _grid,
)  # fmt: skip
