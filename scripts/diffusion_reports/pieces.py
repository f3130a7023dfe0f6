"""Held-out pieces to work on, what of them has to stand, and what lies on both sides of a bar line."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from musegen.corpus.shards import load_split
from musegen.evaluate.notes import pitched_notes
from musegen.score import timing
from musegen.score.model import Score
from musegen.score.ops import slice_bars
from musegen.tokens import Remi
from musegen.tokens.grid import to_score
from musegen.train.examples import Source
from musegen.train.roll_pieces import RollPiece

FIRST, LAST, TOTAL = 8, 12, 20
"""Bars from FIRST to LAST (excluded) are filled in, those from LAST on continued, of TOTAL."""
PARTS = 4
"""Tracks of a piece at most: as many as a roll shows."""


@dataclass(frozen=True, eq=False)
class Known:
    """TOTAL bars of one metre, all of whose tracks have pitched notes."""

    style: str
    score: Score


def known_pieces(shards: Path, splits: Sequence[str], styles: Sequence[str]) -> list[Known]:
    """What these splits hold, the styles taking turns, in random order."""
    found: dict[str, list[Known]] = {style: [] for style in styles}
    for split in splits:
        for piece in load_split(shards, split, Remi().vocabulary.fingerprint):
            source = Source.of(piece)
            if source.style in found and len(source.grid.programs) <= PARTS:
                found[source.style] += _opening(RollPiece.of(piece, PARTS), source)
    for pieces in found.values():
        random.Random(0).shuffle(pieces)
    most = max(len(pieces) for pieces in found.values())
    return [pieces[i] for i in range(most) for pieces in found.values() if i < len(pieces)]


def _opening(piece: RollPiece, source: Source) -> Iterator[Known]:
    """The first TOTAL bars of one metre of a piece, if there are as many."""
    for stretch in piece.stretches:
        if stretch.last - stretch.first < TOTAL:
            continue
        score = slice_bars(to_score(source.grid.without_chords()), stretch.first, stretch.first + TOTAL)
        if all(len(track.notes) and not track.is_drum for track in slice_bars(score, 0, LAST).tracks):
            yield Known(source.style or "", score)
        return


def highest(score: Score) -> int:
    """The track whose notes are the highest on the mean."""
    return int(np.argmax([track.notes["pitch"].mean() for track in score.tracks]))


def given(score: Score, use: str, standing: Sequence[int]) -> Counter[tuple[int, ...]]:
    """The notes, as (track, start, duration, pitch, velocity), that begin where nothing is written.

    Args:
        score: before or after.
        use: infill, continue or harmonize.
        standing: of the last, the one track that is given; it counts as track 0.
    """
    lines = timing.bar_starts(score, TOTAL)
    found: Counter[tuple[int, ...]] = Counter()
    tracks = [score.tracks[k] for k in standing] or score.tracks
    for number, track in enumerate(tracks):
        start = track.notes["start"]
        stands = start < lines[{"infill": FIRST, "continue": LAST, "harmonize": TOTAL}[use]]
        stands |= (start >= lines[LAST]) & (use == "infill")
        rows = np.stack([track.notes[name][stands] for name in ("start", "duration", "pitch", "velocity")], axis=1)
        found.update((number, *row) for row in rows.tolist())
    return found


def seam(score: Score, bar: int) -> tuple[float, float, float]:
    """What lies between a bar and the one before it.

    Returns:
        The difference of their onsets; that of their mean pitches, in semitones; and the share of pitch classes,
        weighted by how long they sound, that they have in common. The last two are NaN where a bar is silent.
    """
    lines = timing.bar_starts(score, bar + 1)
    notes = pitched_notes(score)
    before, behind = (notes[(notes["start"] >= lines[i]) & (notes["start"] < lines[i + 1])] for i in (bar - 1, bar))
    onsets = float(abs(len(before) - len(behind)))
    if not len(before) or not len(behind):
        return onsets, math.nan, math.nan
    shares = [np.bincount(n["pitch"] % 12, n["duration"], 12) / n["duration"].sum() for n in (before, behind)]
    apart = float(abs(before["pitch"].mean() - behind["pitch"].mean()))
    return onsets, apart, float(np.minimum(*shares).sum())
