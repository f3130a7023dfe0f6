"""Writing cells (tracks in bars) of a piece: some of its bars anew, or new tracks beside it. One mechanism for all.

What does not fit the model's context at once is written passage by passage, each seeing what the one before wrote.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from musegen.compose.harmony import as_chords, merged
from musegen.compose.passage import Passage, busiest, join
from musegen.compose.piece import named
from musegen.compose.request import PIANO, STYLE_INSTRUMENTS, Request
from musegen.corpus.chords import estimate_chords
from musegen.errors import RequestError
from musegen.score import timing
from musegen.score.model import Array, Chord, Score, Track
from musegen.score.ops import slice_bars
from musegen.tokens import VOCABULARY, Controls, Grid, Remi, to_grid
from musegen.tokens.grid import IntArray
from musegen.tokens.vocabulary import DRUM_PROGRAM, MAX_TRACKS
from musegen.tokens.writer import Cells, Ids

_CONTEXT_BARS = (192, 128, 96, 64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1, 0)
_TOKENS_A_CELL = 12
"""What a cell is taken to need where the bars shown give no measure."""


@dataclass(frozen=True)
class Task:
    """A piece, and which of its cells are still to be written.

    Attributes:
        piece: nothing begins in those cells.
        cells: (tracks, bars) of bool.
        chords: the harmony that the model is told, none if empty.
        programs: the instrument as which the model is shown a track, where it is not the track's own.
        style: what the head says the piece is.
    """

    piece: Score
    cells: Cells
    chords: tuple[Chord, ...] = ()
    programs: Mapping[int, int] = field(default_factory=dict)
    style: str | None = None

    def join(self, passage: Passage, written: Grid) -> Task:
        """What is left to do once a passage is written."""
        left = self.cells.copy()
        window = slice(passage.first, passage.first + passage.cells.shape[1])
        left[list(passage.slots), window] &= ~passage.cells
        return replace(self, piece=join(passage, written), cells=left)


def task_of(request: Request) -> Task:
    """What a request to fill in or to harmonize has to be written.

    Raises:
        RequestError: if there is nothing to go by, or more tracks to write than the model knows.
    """
    if request.infill is not None:
        task = _infill(request, request.infill)
    else:
        task = _harmonization(request) if request.harmonize else _variation(request)
    if task.cells.any(axis=1).sum() > MAX_TRACKS:
        raise RequestError(f"at most {MAX_TRACKS} tracks can be written at once; name those to write (tracks)")
    return with_harmony(task, request)


def with_harmony(task: Task, request: Request) -> Task:
    """The task with the chords that its new bars shall have: those asked for, or else the piece's own."""
    if request.harmony is None or not task.cells.any():
        return replace(task, chords=task.piece.chords)
    bars = np.flatnonzero(task.cells.any(axis=0))
    first, last = int(bars[0]), int(bars[-1]) + 1
    piece = task.piece
    lines = timing.bar_starts(piece, last)
    metres = to_grid(slice_bars(piece.with_tracks(()), first, last), last - first).metres
    given = as_chords(request.harmony.over(first, metres), lines, piece.ticks_per_beat)
    start, stop = int(lines[first]), int(lines[last])
    told = merged(piece.chords or estimate_chords(piece), given, start, stop, piece.end)
    return replace(task, piece=replace(piece, chords=merged(piece.chords, given, start, stop, piece.end)), chords=told)


def _infill(request: Request, span: tuple[int, int]) -> Task:
    piece = request.prompt
    assert piece is not None
    return anew(request, list(request.tracks) or sounding(piece), np.arange(span[0] - 1, span[1]))


def _variation(request: Request) -> Task:
    """The share of the bars that `vary` says, drawn by the seed."""
    piece, strength = request.prompt, request.vary
    assert piece is not None
    assert strength is not None
    n_bars = timing.n_bars(piece)
    drawn = np.random.default_rng([request.seed, 5]).permutation(n_bars)
    return anew(request, sounding(piece), np.sort(drawn[: round(strength * n_bars)]))


def sounding(piece: Score) -> list[int]:
    """The tracks that have notes."""
    return [k for k, track in enumerate(piece.tracks) if len(track.notes)]


def anew(request: Request, tracks: list[int], bars: IntArray) -> Task:
    """The prompt without what begins in these bars of these tracks, which is to be written.

    Raises:
        RequestError: if there are no tracks.
    """
    piece = request.prompt
    assert piece is not None
    if not tracks:
        raise RequestError("the piece has no notes, so nothing of it can be written anew; compose a new one")
    n_bars = timing.n_bars(piece)
    lines = timing.bar_starts(piece, n_bars)
    cells = np.zeros((len(piece.tracks), n_bars), np.bool_)
    cells[np.ix_(np.array(tracks, np.int64), bars)] = True
    runs = np.split(bars, np.flatnonzero(np.diff(bars) > 1) + 1) if len(bars) else []
    for run in runs:
        start, stop = int(lines[run[0]]), int(lines[run[-1] + 1])
        piece = piece.with_tracks(
            _emptied(track, start, stop) if k in tracks else track for k, track in enumerate(piece.tracks)
        )
    return Task(piece, cells, style=request.style)


def _emptied(track: Track, start: int, stop: int) -> Track:
    """The track without the notes that begin from tick `start` to `stop` (excluded), and without their releases."""
    begins = track.notes["start"]
    inside = (begins >= start) & (begins < stop)
    releases = track.releases
    gone = np.isin(_ends(releases["time"], releases["pitch"]), _note_ends(track.notes[inside]))
    stays = np.isin(_ends(releases["time"], releases["pitch"]), _note_ends(track.notes[~inside]))
    return replace(track, notes=track.notes[~inside], releases=releases[~gone | stays])


def _note_ends(notes: Array) -> Array:
    return _ends(notes["start"] + notes["duration"], notes["pitch"])


def _ends(times: Array, pitches: Array) -> Array:
    """Time and pitch as one number."""
    keys: Array = (times.astype(np.int64) << 7) + pitches
    return keys


def _harmonization(request: Request) -> Task:
    piece = request.prompt
    assert piece is not None
    kept = [piece.tracks[k] for k in sorted(set(request.harmonize))]
    if not sum(len(track.notes) for track in kept):
        raise RequestError("the tracks to harmonize have no notes")
    instruments, programs, style = request.instruments, {}, request.style
    if not instruments:
        style = style or "chorale"
        (first, _), *others = STYLE_INSTRUMENTS.get(style, PIANO)
        instruments = tuple(others)
        if not instruments:
            raise RequestError(f"a {style} is written for one instrument; name those to add (instruments)")
        if len(kept) == 1 and not kept[0].is_drum:
            programs = {0: first}
    new = [Track(program=program, is_drum=is_drum) for program, is_drum in instruments]
    n_bars = timing.n_bars(piece)
    names = named((*(Track(program=programs.get(k, t.program), is_drum=t.is_drum) for k, t in enumerate(kept)), *new))
    new = [replace(track, name=like.name) for track, like in zip(new, names[len(kept) :], strict=True)]
    cells = np.zeros((len(kept) + len(new), n_bars), np.bool_)
    cells[len(kept) :] = True
    end = max(piece.end, int(timing.bar_starts(piece, n_bars)[-1]))
    return Task(replace(piece, tracks=(*kept, *new), end=end), cells, programs=programs, style=style)


def passage_of(task: Task, controls: Controls, room: int, *, one_key: bool) -> Passage:
    """The first of the task's cells, as many bars of them and around them as fit into `room` tokens with what is new.

    Args:
        task: something of it is still to be written.
        controls: what the head says.
        room: tokens; where even one bar alone takes more, it is shown all the same.
        one_key: whether the passage ends where the key changes.

    Raises:
        RequestError: for a metre that the model does not know.
    """
    todo: Cells = np.any(task.cells, axis=0)
    first = int(np.flatnonzero(todo)[0])
    stop = first + int(np.append(~todo[first:], True).argmax())
    limit = stop + int(np.append(todo[stop:], True).argmax())  # what lies behind is not written yet
    if one_key:
        stop = min(stop, _key_change(task.piece, first, stop))
        limit = limit if not todo[stop : stop + 1].any() else stop
    length = stop - first
    while True:
        windows = _windows(first, first + length, limit if first + length == stop else first + length)
        *wider, narrowest = dict.fromkeys(windows)
        try:
            smallest = _shown(task, first, first + length, *narrowest, controls)
        except RequestError:
            if length == 1:
                raise
        else:
            if length == 1 or _fits(smallest, room):
                shown = (_shown_if_known(task, first, first + length, *window, controls) for window in wider)
                return next((each for each in shown if each is not None and _fits(each, room)), smallest)
        length = max(1, length * 3 // 4)


def _windows(first: int, last: int, limit: int) -> Iterator[tuple[int, int]]:
    """(left, right): from where to where bars `first` to `last` may be shown, the widest first.

    The bars up to `limit` may be seen behind them. Where none may, more is to follow: then at least as many bars are
    seen before them as they are, while there are so many.
    """
    least = min(first, last - first, _CONTEXT_BARS[0]) if limit == last else 0
    for context in _CONTEXT_BARS:
        if context >= least:
            on_the_right = min(limit - last, max(context // 3, context - first))
            yield max(0, first - (context - on_the_right)), last + on_the_right


def _key_change(piece: Score, first: int, stop: int) -> int:
    """The bar after `first` with which another key begins, or `stop`."""
    lines = timing.bar_starts(piece, stop)
    keys = [timing.key_at(piece, int(lines[bar])) for bar in range(first, stop)]
    return next((bar for bar, key in enumerate(keys, first) if key != keys[0]), stop)


def _shown(task: Task, first: int, last: int, left: int, right: int, controls: Controls) -> Passage:
    """Bars `left` to `right` as the model sees them when it writes bars `first` to `last`."""
    piece, n_bars = task.piece, task.cells.shape[1]
    part = slice_bars(replace(piece, chords=task.chords), left, right)
    slots = busiest(part, np.flatnonzero(task.cells[:, first:last].any(axis=1)).tolist())
    tracks = [part.tracks[slot] for slot in slots]
    programs = (
        DRUM_PROGRAM if t.is_drum else task.programs.get(slot, t.program) for slot, t in zip(slots, tracks, strict=True)
    )
    grid = to_grid(part.with_tracks(tracks), right - left, silent_tracks=True)
    grid = replace(grid, programs=tuple(programs))
    cells = np.zeros((len(slots), right - left), np.bool_)
    cells[:, first - left : last - left] = task.cells[list(slots), first:last]
    ids, without_chords = (_prompt(each, controls, n_bars - left, cells) for each in (grid, grid.without_chords()))
    return Passage(piece, left, n_bars - left, slots, cells, ids, without_chords)


def _shown_if_known(task: Task, first: int, last: int, left: int, right: int, controls: Controls) -> Passage | None:
    """As `_shown`; None where a bar around has a metre that the model does not know."""
    try:
        return _shown(task, first, last, left, right, controls)
    except RequestError:
        return None


def _prompt(grid: Grid, controls: Controls, total: int, cells: Cells) -> Ids:
    """The ids up to FILL, after which the cells are written."""
    ids = Remi().encode_grid(grid, controls, bars=total, masked=cells, ends=False)
    return ids[: int(np.flatnonzero(ids == VOCABULARY.id("FILL"))[0]) + 1]


def _fits(passage: Passage, room: int) -> bool:
    """Whether the prompt and what is to come take `room` tokens at most, if new cells are like the given ones."""
    given = ~passage.cells
    given[[len(passage.piece.tracks[slot].notes) == 0 for slot in passage.slots]] = False
    n_cells = int(passage.cells.sum())
    a_cell = (len(passage.ids) - 2 * n_cells) / given.sum() if given.any() else _TOKENS_A_CELL
    return bool(len(passage.ids) + n_cells * max(1.0, a_cell) <= room)
