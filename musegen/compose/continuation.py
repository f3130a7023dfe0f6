"""Writing on from a piece: what the model is shown of its end, and the new bars after it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from musegen.compose.harmony import as_chords, merged
from musegen.compose.passage import Passage, busiest
from musegen.compose.request import Request
from musegen.corpus.chords import estimate_chords
from musegen.errors import RequestError
from musegen.score import timing
from musegen.score.model import Score
from musegen.score.ops import slice_bars
from musegen.tokens import Controls, Remi, to_grid
from musegen.tokens.grid import IntArray

_SHOWN_BARS = (128, 96, 64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1)


def cut_before(request: Request) -> tuple[Score, int]:
    """The piece up to the first new bar, and how many bars that are.

    Raises:
        RequestError: if the piece has no notes or not so many bars.
    """
    piece = request.prompt
    assert piece is not None
    bars = timing.n_bars(piece)
    if request.from_bar is not None:
        if not 2 <= request.from_bar <= bars + 1:
            raise RequestError(
                f"from_bar is {request.from_bar}; the piece has {bars} bars, so it goes from 2 to {bars + 1}"
            )
        bars = request.from_bar - 1
        piece = slice_bars(piece, 0, bars)
    if not piece.n_notes:
        raise RequestError("the piece has no notes to continue from")
    return piece, bars


def continuation(request: Request, controls: Controls, room: int) -> Passage:
    """The piece cut before the first new bar, and as many of its last bars as fit into `room` tokens.

    Raises:
        RequestError: if the piece has no notes or not so many bars, or even its last bar cannot be encoded.
    """
    piece, bars = cut_before(request)
    problem = RequestError("its last bar is too full to continue from")
    for shown in dict.fromkeys(min(n, bars) for n in _SHOWN_BARS):
        end = slice_bars(piece, bars - shown, bars)
        slots = busiest(end)
        try:
            grid = to_grid(_told(end.with_tracks(end.tracks[slot] for slot in slots), request), shown)
        except RequestError as error:
            problem = error
            continue
        total = shown + request.bars
        ids, without_chords = (
            Remi().encode_grid(each, controls, bars=total, ends=False) for each in (grid, grid.without_chords())
        )
        if slots and len(ids) <= room:
            cells = np.zeros((len(slots), total), np.bool_)
            cells[:, shown:] = True
            return Passage(piece, bars - shown, total, slots, cells, ids, without_chords)
    raise problem


def _told(end: Score, request: Request) -> Score:
    """The end of the piece with chords where the new bars have some, and else without: the model knows no mixture."""
    return replace(end, chords=(end.chords or estimate_chords(end)) if request.chords else ())


def continued(joined: Score, bars: int, metres: IntArray, request: Request) -> Score:
    """The joined piece with the chords of its new bars (from bar `bars` on, of these metres), ending with them.

    With `only_new` those bars alone.
    """
    lines = timing.bar_starts(joined, bars + request.bars)
    score = replace(joined, end=int(lines[-1]))
    if request.harmony is not None:
        given = as_chords(request.harmony.over(bars, metres), lines, score.ticks_per_beat)
        score = replace(score, chords=merged(score.chords, given, int(lines[bars]), int(lines[-1]), score.end))
    return slice_bars(score, bars, bars + request.bars) if request.only_new else score
