"""Writing on from a piece: what the model is shown of it, and how the new bars join it.

The model sees the last bars, rounded to the grid; the piece itself is never rewritten. New notes are added to its
own tracks after a bar line, at its own resolution.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from musegen.errors import RequestError
from musegen.score import timing
from musegen.score.model import Array, Score
from musegen.score.ops import slice_bars
from musegen.tokens import Controls, Remi
from musegen.tokens.remi import Ids
from musegen.tokens.vocabulary import MAX_TRACKS, VELOCITY_CLASS

_SHOWN_BARS = (32, 24, 16, 12, 8, 6, 4, 3, 2, 1)


@dataclass(frozen=True)
class Prompt:
    """The end of a piece as the model sees it.

    Attributes:
        piece: the whole piece, cut before the first new bar.
        bars: how many bars of it there are.
        shown: how many of them the model sees.
        slots: which track of the piece each track of the tokens is.
        ids: the tokens of what is shown.
    """

    piece: Score
    bars: int
    shown: int
    slots: tuple[int, ...]
    ids: Ids


def prompt_of(piece: Score, from_bar: int | None, new_bars: int, controls: Controls, room: int) -> Prompt:
    """Cut the piece and encode as many of its last bars as fit into `room` tokens.

    Raises:
        RequestError: if the piece has no notes or not so many bars, or even its last bar cannot be encoded.
    """
    bars = timing.n_bars(piece)
    if from_bar is not None:
        if not 2 <= from_bar <= bars + 1:
            raise RequestError(f"from_bar is {from_bar}; the piece has {bars} bars, so it goes from 2 to {bars + 1}")
        bars = from_bar - 1
        piece = slice_bars(piece, 0, bars)
    if not piece.n_notes:
        raise RequestError("the piece has no notes to continue from")
    problem = RequestError("its last bar is too full to continue from")
    for shown in dict.fromkeys(min(n, bars) for n in _SHOWN_BARS):
        end = slice_bars(piece, bars - shown, bars)
        slots = _busiest(end)
        try:
            seen = end.with_tracks(end.tracks[slot] for slot in slots)
            ids = Remi().encode(seen, controls, bars=shown + new_bars, written=shown, ends=False)
        except RequestError as error:
            problem = error
            continue
        if slots and len(ids) <= room:
            return Prompt(piece, bars, shown, slots, ids)
    raise problem


def _busiest(score: Score) -> tuple[int, ...]:
    """The tracks with notes, the fullest where they are too many: fifteen pitched ones and one of drums."""
    kept: list[int] = []
    for is_drum, most in ((False, MAX_TRACKS - 1), (True, 1)):
        having = [k for k, track in enumerate(score.tracks) if len(track.notes) and track.is_drum == is_drum]
        kept += sorted(having, key=lambda k: -len(score.tracks[k].notes))[:most]
    return tuple(sorted(kept))


def join(prompt: Prompt, written: Score, new_bars: int, *, only_new: bool) -> Score:
    """The piece with the new bars of `written`, which is what the tokens (shown bars and new ones) say."""
    piece = prompt.piece
    lines = timing.bar_starts(piece, prompt.bars + new_bars)
    first, last = int(lines[prompt.bars]), int(lines[-1])
    grid_line = int(timing.bar_starts(written, prompt.shown)[-1])
    tracks = list(piece.tracks)
    sounding: dict[tuple[int, int], int] = {}
    for k, track in enumerate(tracks):
        for note in track.notes[track.notes["start"] + track.notes["duration"] > first]:
            key = (_channel(piece, k), int(note["pitch"]))
            sounding[key] = max(sounding.get(key, 0), int(note["start"] + note["duration"]))
    fresh = {
        slot: _placed(written.tracks[k].notes, grid_line, first, last, piece, written)
        for k, slot in enumerate(prompt.slots)
    }
    for slot, notes in fresh.items():
        fresh[slot] = _loudness_of(tracks[slot].notes, notes)
    for slot, notes in _without_clashes(fresh, piece, sounding).items():
        tracks[slot] = replace(tracks[slot], notes=np.concatenate([tracks[slot].notes, notes]))
    result = replace(piece, tracks=tuple(tracks), end=last)
    if only_new:
        return slice_bars(result, prompt.bars, prompt.bars + new_bars)
    return result


def _placed(notes: Array, grid_line: int, first: int, last: int, piece: Score, written: Score) -> Array:
    """The notes from `grid_line` on, moved to tick `first` of the piece at its resolution."""
    new: Array = notes[notes["start"] >= grid_line].copy()
    scale = piece.ticks_per_beat / written.ticks_per_beat
    starts = first + np.rint((new["start"] - grid_line) * scale).astype(np.int64)
    ends = first + np.rint((new["start"] + new["duration"] - grid_line) * scale).astype(np.int64)
    new["start"] = starts
    new["duration"] = np.maximum(1, np.minimum(ends, last) - starts)
    return new


def _loudness_of(old: Array, new: Array) -> Array:
    """The new notes with the track's own velocity of each class, where it has one."""
    for velocity in np.unique(new["velocity"]):
        same = old["velocity"][old["velocity"] // VELOCITY_CLASS == velocity // VELOCITY_CLASS]
        if len(same):
            new["velocity"][new["velocity"] == velocity] = int(np.median(same))
    return new


def _channel(piece: Score, track: int) -> int:
    """What tells notes of one pitch apart in the file: the channel, or the track where the writer will choose one."""
    channel = piece.tracks[track].channel
    return 9 if piece.tracks[track].is_drum else 16 + track if channel is None else channel


def _without_clashes(fresh: dict[int, Array], piece: Score, sounding: dict[tuple[int, int], int]) -> dict[int, Array]:
    """Keep two notes of one pitch from sounding at once on one channel, where a file could not tell them apart.

    A note that begins inside another waits for its end; one that lies within it is left out.
    """
    order = sorted((int(n["start"]), slot, i) for slot, notes in fresh.items() for i, n in enumerate(notes))
    keep = {slot: np.ones(len(notes), np.bool_) for slot, notes in fresh.items()}
    for start, slot, i in order:
        note = fresh[slot][i]
        key, end = (_channel(piece, slot), int(note["pitch"])), start + int(note["duration"])
        free = max(start, sounding.get(key, 0))
        if free >= end:
            keep[slot][i] = False
            continue
        fresh[slot]["start"][i], fresh[slot]["duration"][i] = free, end - free
        sounding[key] = end
    return {slot: notes[keep[slot]] for slot, notes in fresh.items()}
