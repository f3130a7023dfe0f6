"""A Score as the corpus holds it: levelled, with its style and all controls in the head, its chords beside it."""

from __future__ import annotations

from dataclasses import replace

from musegen.corpus.chords import estimate_chords
from musegen.corpus.clean import level
from musegen.corpus.keys import with_modes
from musegen.corpus.shards import Piece
from musegen.corpus.sources import Source
from musegen.corpus.styles import style_of
from musegen.score.model import Score
from musegen.score.timing import seconds
from musegen.tokens import Remi, controls_of, to_grid


def encode(score: Score, style: str | None, source: str, *, chords: bool = True) -> Piece:
    """Encode a piece with all controls that its notes show; training leaves some out at random.

    Its chords, the score's own or else estimated ones, lie beside the tokens; with `chords` off there are none.

    Raises:
        RequestError: for what the vocabulary cannot hold.
    """
    said = (score.chords or estimate_chords(score)) if chords else ()
    grid = to_grid(replace(score, chords=said))
    return Piece(
        ids=Remi().encode_grid(grid.without_chords(), controls_of(grid, style)),
        n_notes=len(grid.notes),
        source=source,
        seconds=seconds(score),
        chords=grid.chords,
    )


def piece_of(score: Score, name: str, source: Source, tags: frozenset[str], *, chords: bool = True) -> Piece:
    """A score of the source `name` as the corpus holds it: levelled if its velocities say nothing, in its style.

    Raises:
        RequestError: as `encode`.
    """
    style = source.style
    if style is None and source.told_by_tracks:
        style = style_of(score, tags)
    return encode(with_modes(level(score, source)), style, name, chords=chords)
