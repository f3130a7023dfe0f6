"""A whole token sequence read at once, in NumPy: the frame of the piece, and its notes.

The tokens of the body are put in order track by track, so that whatever a track carries along (duration, velocity,
cursor) is carried to the next token. The one true recurrence, where a note begins (at its Position, else at the cursor
that the onset before it left, else at the bar line), is a running maximum: with m the shortest duration of each onset
and C its exclusive running sum,
    onset[g] - C[g] = max(bar line[g] - C[g], onset[g-1] - C[g-1]),
begun anew at every Position.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from musegen.errors import RequestError
from musegen.tokens.part import DEFAULT_DURATION, DEFAULT_VELOCITY
from musegen.tokens.state import METRE_STEPS
from musegen.tokens.vocabulary import DURATIONS, MAX_TRACKS, VOCABULARY

Value = TypeVar("Value", bound=np.integer)
IntArray = npt.NDArray[np.int64]
Types = npt.NDArray[np.int16]
BoolArray = npt.NDArray[np.bool_]

RUN = 1 << 40
"""More than any step: added once a run, it keeps a running maximum from reaching over from the run before."""

_T = VOCABULARY.type_index
_STEPS = np.array(DURATIONS)
_FIRST_NOTE = _T["Pitch"]  # Pitch, Add, Drum and DrumAdd are the last types
_SAYS_POSITION = np.isin(
    np.arange(len(_T)),
    [_T[n] for n in ("Position", "Bar", "Track", "Chord", "Bass", "Pitch", "Add", "Drum", "DrumAdd")],
)
"""Position, and what ends it."""
_ADDS = np.isin(np.arange(len(_T)), [_T["Add"], _T["DrumAdd"]])


@dataclass(frozen=True)
class Frame:
    """What stands around the notes.

    Attributes:
        programs: each track's Instrument value.
        metres, tempi, keys: (bars,) the values in force, -1 where none was said.
        starts: (bars + 1,) the bar lines in steps.
        bar_at: where the Bar tokens stand; bar_numbers: the bar of the piece that each begins or fills.
        fill_at: where FILL stands, the number of tokens if it does not.
        cells: (tracks, bars) which are masked.
        track_at: where the Bar and Track tokens of the body stand; track_numbers: the track after each.
    """

    programs: tuple[int, ...]
    metres: IntArray
    tempi: IntArray
    keys: IntArray
    starts: IntArray
    bar_at: IntArray
    bar_numbers: IntArray
    fill_at: int
    cells: BoolArray
    track_at: IntArray
    track_numbers: Types

    def bars(self, at: IntArray) -> IntArray:
        """The bars of the tokens at these places, -1 in the head."""
        return np.append(self.bar_numbers, -1)[self.bar_at.searchsorted(at, side="right") - 1]

    def spans(self, at: IntArray, tracks: Types, bars: IntArray) -> IntArray:
        """In the fill, k in the k-th masked span of the track and -1 in what is given there; 0 before it."""
        spans = spans_of(self.cells)[tracks, bars]
        return np.where(at > self.fill_at, np.where(spans, spans, -1), 0)


@dataclass(frozen=True)
class Body:
    """The n tokens from the first Bar on, track by track, and the N notes among them.

    Attributes:
        at: (n,) where each stands in the sequence.
        types, values: (n,) its type and value.
        tracks, bars: (n,) its track and its bar; spans: (n,) as `Frame.spans`, 0 without a fill.
        pending: (n,) the Position said for the note to come, after the token; -1 if none is.
        durations, velocities: (n,) the vocabulary values in force.
        notes: (N,) which of the tokens are notes.
        opens: (N,) whether the note begins an onset; the others add to one.
        onsets: (N,) in steps from the start of the piece.
    """

    at: IntArray
    types: Types
    values: Types
    tracks: Types
    bars: IntArray
    spans: IntArray
    pending: Types
    durations: Types
    velocities: Types
    notes: IntArray
    opens: BoolArray
    onsets: IntArray


def read_frame(types: Types, values: Types) -> Frame:
    """Read what stands around the notes.

    Raises:
        RequestError: if the tokens are no piece: no metre or instrument in the head, no bar, a track that is not in
            the head, more bars filled than masked.
    """
    at = (types < _T["Position"]).nonzero()[0]
    kinds, said = types.take(at), values.take(at)
    is_bar = kinds == _T["Bar"]
    bar_at = at[is_bar]
    first = int(is_bar.argmax()) if len(bar_at) else 0
    programs = tuple(said[:first][kinds[:first] == _T["Instrument"]].tolist())
    if not programs or not (kinds[:first] == _T["Metre"]).any():
        raise RequestError("the tokens are no piece: the head needs a metre and an instrument, and bars must follow")
    fills = at[kinds == _T["FILL"]]
    fill_at = int(fills[0]) if len(fills) else len(types)
    n_bars = int(bar_at.searchsorted(fill_at))
    cells = _masked_cells(types, values, at[kinds == _T["MASK"]], bar_at, (len(programs), n_bars))
    masked = cells.any(axis=0).nonzero()[0]
    if len(bar_at) - n_bars > len(masked):
        raise RequestError("the tokens fill more bars than they mask")
    numbers = np.concatenate((np.arange(n_bars), masked[: len(bar_at) - n_bars]))
    bars = numbers.take(np.maximum(is_bar.cumsum() - 1, 0))
    metres, tempi, keys = (_per_bar(kinds == _T[name], said, bars, n_bars) for name in ("Metre", "Tempo", "Key"))
    starts = np.concatenate(([0], METRE_STEPS.take(metres).cumsum()))
    opens = ((kinds == _T["Track"]) | is_bar)[first:].nonzero()[0] + first
    tracks = np.where(is_bar, 0, said).take(opens)
    if tracks.max() >= len(programs):
        raise RequestError("the tokens name a track that is not in their head")
    return Frame(programs, metres, tempi, keys, starts, bar_at, numbers, fill_at, cells, at.take(opens), tracks)


def _masked_cells(types: Types, values: Types, at: IntArray, bar_at: IntArray, shape: tuple[int, int]) -> BoolArray:
    """(tracks, bars) of bool: which the MASK tokens at these places mask."""
    cells = np.zeros(shape, np.bool_)
    if not len(at):
        return cells
    bars = bar_at.searchsorted(at) - 1
    of_track = types[at - 1] == _T["Track"]
    cells[:, bars[~of_track]] = True
    tracks = values[at[of_track] - 1]
    if (tracks >= shape[0]).any() or (bars >= shape[1]).any():
        raise RequestError("the tokens mask a track that is not in their head, or a bar of the fill")
    cells[tracks, bars[of_track]] = True
    return cells


def _per_bar(chosen: BoolArray, values: Types, bars: IntArray, n_bars: int) -> IntArray:
    """(bars,) the last value said in each bar or before it, -1 before the first."""
    result = np.full(n_bars, -1, np.int64)
    result[bars[chosen]] = values[chosen]
    says = result >= 0
    says[0] = True
    return carried(result, says)


def spans_of(cells: BoolArray) -> IntArray:
    """(tracks, bars) masked cells as numbers: k in the k-th span of a track, 0 where nothing is masked."""
    begins = cells.copy()
    begins[:, 1:] &= ~cells[:, :-1]
    spans: IntArray = np.where(cells, np.cumsum(begins, axis=1), 0)
    return spans


def carried(values: npt.NDArray[Value], says: BoolArray) -> npt.NDArray[Value]:
    """Each place's last value at a place that says one; the first place does."""
    where = says.nonzero()[0]
    return values.take(where).repeat(lengths(where, len(values)))


def lengths(starts: IntArray, end: int) -> IntArray:
    """How long each of the runs is that begin at `starts`, the last of which goes to `end`."""
    return np.concatenate((starts[1:], [end])) - starts


def read_body(types: Types, values: Types, frame: Frame) -> Body:
    """Read the tokens from the first Bar on."""
    first = int(frame.bar_at[0])
    stop = len(types)
    tracks = frame.track_numbers.repeat(lengths(frame.track_at, stop))
    order = tracks.argsort(kind="stable")
    at = order + first
    tracks, types, values = tracks.take(order), types.take(at), values.take(at)
    bars = frame.bar_numbers.repeat(lengths(frame.bar_at, stop)).take(order)
    spans = frame.spans(at, tracks, bars) if frame.fill_at < stop else np.zeros(len(at), np.int64)
    begins = np.ones(len(at), np.bool_)
    begins[1:] = tracks[1:] != tracks[:-1]
    is_duration, is_velocity, is_position = (types == _T[name] for name in ("Duration", "Velocity", "Position"))
    durations = carried(np.where(is_duration, values, DEFAULT_DURATION), is_duration | begins)
    velocities = carried(np.where(is_velocity, values, DEFAULT_VELOCITY), is_velocity | begins)
    pending = carried(np.where(is_position, values, -1), _SAYS_POSITION.take(types))
    notes = (types >= _FIRST_NOTE).nonzero()[0]
    parts, its_bars = spans.take(notes) * MAX_TRACKS + tracks.take(notes), bars.take(notes)
    opens = _opens(_ADDS.take(types.take(notes)), parts, its_bars)
    steps = _STEPS.take(durations.take(notes))
    onsets = _onsets(parts, frame.starts.take(its_bars), pending.take(notes - 1), steps, opens)
    return Body(at, types, values, tracks, bars, spans, pending, durations, velocities, notes, opens, onsets)


def _opens(adds: BoolArray, parts: IntArray, bars: IntArray) -> BoolArray:
    """(N,) whether a note begins an onset: it does not add to one, or the one before is in another bar or part."""
    opens = ~adds
    opens[:1] = True
    opens[1:] |= (bars[1:] != bars[:-1]) | (parts[1:] != parts[:-1])
    return opens


def _onsets(parts: IntArray, lines: IntArray, pending: Types, steps: IntArray, opens: BoolArray) -> IntArray:
    """(N,) the step of each note.

    Args:
        parts: (N,) a number for the track, and for the span in the fill, within which the cursor runs on.
        lines: (N,) the bar line before the note, in steps.
        pending: (N,) the Position said for it, -1 if none was.
        steps: (N,) its duration.
        opens: (N,) as `_opens`.
    """
    first = opens.nonzero()[0]
    parts, pending = parts.take(first), pending.take(first)
    begins = lines.take(first) + np.maximum(pending, 0)
    shortest = np.minimum.reduceat(steps, first)
    restarts = pending >= 0
    restarts[1:] |= parts[1:] != parts[:-1]
    run = restarts.cumsum() * RUN - (shortest.cumsum() - shortest)
    onsets: IntArray = (np.maximum.accumulate(begins + run) - run).repeat(lengths(first, len(steps)))
    return onsets
