"""Which notes would move in parallel fifths or octaves with another voice.

Two voices that both move, the same way, from a fifth to a fifth or from an octave (a unison) to an octave are what
four-part writing avoids before all else. A voice is a track that sounds one note at a time.
"""

from __future__ import annotations

from bisect import bisect_left, insort

import numpy as np
import numpy.typing as npt

BoolRow = npt.NDArray[np.bool_]

PERFECT = (0, 7)
"""Semitones, modulo 12, that no two voices keep when both move."""

_KEEPING = {interval: np.abs(np.arange(128)[:, None] - np.arange(128)) % 12 == interval for interval in PERFECT}
"""Of each of them (128, 128): which pitches make it with each pitch."""


class Lines:
    """The notes of each track so far, in the order of their onsets whatever the order of writing."""

    def __init__(self) -> None:
        self._notes: dict[int, list[tuple[int, int, int]]] = {}  # track -> (onset, end, pitch)

    def copy(self) -> Lines:
        """An independent one."""
        twin = Lines()
        twin._notes = {track: list(notes) for track, notes in self._notes.items()}
        return twin

    def add(self, track: int, onset: int, end: int, pitch: int) -> None:
        """Take a note; times in steps of the piece."""
        insort(self._notes.setdefault(track, []), (onset, end, pitch))

    def forbidden(self, track: int, onset: int) -> BoolRow:
        """(128,) of bool: the pitches with which `track` would move in parallel with another voice at `onset`."""
        row = np.zeros(128, np.bool_)
        own = self._before(track, onset)
        if own is None:
            return row
        for other in self._notes:
            now = self._at(other, onset) if other != track else None
            before = None if now is None else self._before(other, onset)
            if now is None or before is None or now == before:
                continue
            interval = abs(own - before) % 12
            if interval in _KEEPING:
                same_way = slice(own + 1, 128) if now > before else slice(own)
                row[same_way] |= _KEEPING[interval][now, same_way]
        return row

    def _before(self, track: int, onset: int) -> int | None:
        """The pitch that sounds until `onset`."""
        notes = self._notes.get(track, [])
        at = bisect_left(notes, (onset, -1, -1)) - 1
        return notes[at][2] if at >= 0 and notes[at][1] >= onset else None

    def _at(self, track: int, onset: int) -> int | None:
        """The pitch that begins at `onset`."""
        notes = self._notes.get(track, [])
        at = bisect_left(notes, (onset, -1, -1))
        return notes[at][2] if at < len(notes) and notes[at][0] == onset else None
