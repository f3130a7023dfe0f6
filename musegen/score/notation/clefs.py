"""Which clef a track is written in."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from musegen.score.model import Track


@dataclass(frozen=True)
class Clef:
    """A clef: its sign, the line it stands on (1 the lowest), octaves it is read higher (-1: an 8 below)."""

    sign: str
    line: int
    octaves: int = 0


TREBLE, BASS, ALTO = Clef("G", 2), Clef("F", 4), Clef("C", 3)
PERCUSSION = Clef("percussion", 2)
LOW_TREBLE, LOW_BASS = Clef("G", 2, -1), Clef("F", 4, -1)
_STAVES = {TREBLE: (64, 77), BASS: (43, 57), ALTO: (53, 67), LOW_TREBLE: (52, 65), LOW_BASS: (31, 45)}
"""The pitches on the lowest and the highest line."""
_VIOLA = 41


def clef_of(track: Track) -> Clef:
    """The clef that puts the fewest notes far from the staff, of those that players of the instrument read."""
    if track.is_drum:
        return PERCUSSION
    clefs = [TREBLE, BASS]
    if track.program == _VIOLA or track.name.lower().startswith("viola"):
        clefs = [ALTO, TREBLE]
    elif 24 <= track.program <= 31:
        clefs = [LOW_TREBLE, TREBLE]
    elif 32 <= track.program <= 39 or track.program == 43:
        clefs = [BASS, LOW_BASS]
    pitches = track.notes["pitch"]

    def strain(clef: Clef) -> float:
        low, high = _STAVES[clef]
        outside = np.maximum(low - pitches, 0) + np.maximum(pitches - high, 0)
        return float((outside.astype(np.float64) ** 1.5).sum())

    return min(clefs, key=strain)
