"""Names of pitches: F sharp or G flat, by the key, by what sounds at the time and by where the line goes.

Names lie on the line of fifths: F is -1, C 0, G 1, and so on, B flat -2, F sharp 6.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from musegen.score.model import KeySignature, Score

STEPS = "FCGDAEB"
"""The letters on the line of fifths, from -1 on."""
_PITCH_CLASSES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
_SHARPEST, _FLATTEST = 11, -6
"""How far from the key's own number of fifths a name may lie."""
_MIDDLE = {"major": 2.5, "minor": 3.5}
"""Where the twelve commonest names of a key have their middle, from its number of fifths on: sharper in minor."""
_HARMONY = 0.35
"""How strongly what sounds together draws the names to its side."""
_DOUBLE_FLAT = 3.0
"""How many fifths a double flat costs; double sharps are the common leading notes of sharp minor keys."""
_STRAIGHT = -8
"""F flat, the last name before the double flats."""
_LINE = 3.0
"""How many fifths the step to a note of the key a semitone away is worth."""


@dataclass(frozen=True)
class Name:
    """A spelt pitch: letter, semitones above it (-2 to 2), octave (4 from middle C on)."""

    step: str
    alter: int
    octave: int


def name_of(pitch: int, fifths: int) -> Name:
    """The name of a MIDI pitch at a place on the line of fifths that has its pitch class."""
    step = STEPS[(fifths + 1) % 7]
    alter = (fifths + 1) // 7
    return Name(step, alter, (pitch - _PITCH_CLASSES[step] - alter) // 12 - 1)


def key_alterations(fifths: int) -> dict[str, int]:
    """What a key signature does to each letter: {"F": 1} for one sharp."""
    if fifths >= 0:
        return dict.fromkeys(STEPS[:fifths], 1)
    return dict.fromkeys(STEPS[fifths:], -1)


def spell(score: Score) -> list[list[Name]]:
    """The names of the notes of each track, in the order of its notes; empty for drums."""
    keys = score.key_signatures or (_likely_key(score),)
    times = [key.time for key in keys]
    harmony = _Harmony(score)
    result: list[list[Name]] = []
    for track in score.tracks:
        if track.is_drum:
            result.append([])
            continue
        starts, pitches = track.notes["start"].tolist(), track.notes["pitch"].tolist()
        following = _next_in_line(starts, pitches)
        names = []
        for start, pitch, after in zip(starts, pitches, following, strict=True):
            key = keys[max(0, bisect_right(times, start) - 1)]
            names.append(name_of(pitch, _place(key, pitch, after, harmony.lean(start, key))))
        result.append(names)
    return result


def _place(key: KeySignature, pitch: int, after: int | None, lean: float) -> int:
    """Where the pitch lies on the line of fifths."""
    centre = key.fifths + _MIDDLE[key.mode if key.mode in _MIDDLE else "major"] + lean
    base = pitch * 7 % 12
    low = key.fifths + _FLATTEST
    candidates = [c for c in (low + (base - low) % 12, low + (base - low) % 12 + 12) if c <= key.fifths + _SHARPEST]
    diatonic = range(key.fifths - 1, key.fifths + 6)
    own = [c for c in candidates if c in diatonic]
    if own:
        return own[0]

    def cost(place: int) -> float:
        return abs(place - centre) + _DOUBLE_FLAT * (place < _STRAIGHT) - _LINE * _leads(place, key, pitch, after)

    return min(candidates, key=cost)


def _leads(place: int, key: KeySignature, pitch: int, after: int | None) -> bool:
    """Whether the next note of the line is a letter away, as it is for a sharp that rises or a flat that falls."""
    if after is None or abs(after - pitch) != 1:
        return False
    target = place - 5 if after > pitch else place + 5  # a minor second up is five fifths down
    raised_fourth = key.fifths + 6  # stays sharp where it falls back to the fourth
    return key.fifths - 1 <= target <= key.fifths + 5 and place != raised_fourth - 12


def _next_in_line(starts: Sequence[int], pitches: Sequence[int]) -> list[int | None]:
    """For each note the pitch a semitone away that begins next after it, if it begins among the nearest notes."""
    n = len(starts)
    result: list[int | None] = [None] * n
    for index in range(n):
        at, moment, moments = index + 1, starts[index], 0
        while at < n and moments <= 1:
            if starts[at] > moment:
                moment, moments = starts[at], moments + 1
                if moments > 1:
                    break
            if moments == 1 and abs(pitches[at] - pitches[index]) <= 1:
                result[index] = pitches[at]
                break
            at += 1
    return result


class _Harmony:
    """What sounds in each half beat of a piece, as a set of pitch classes."""

    def __init__(self, score: Score) -> None:
        self._size = max(1, score.ticks_per_beat)
        self._sets: dict[int, set[int]] = {}
        self._leans: dict[tuple[int, int], float] = {}
        for track in score.tracks:
            if track.is_drum or not len(track.notes):
                continue
            first = track.notes["start"] // self._size
            last = np.minimum((track.notes["start"] + track.notes["duration"] - 1) // self._size, first + 16)
            for begin, end, pitch in zip(first.tolist(), last.tolist(), track.notes["pitch"].tolist(), strict=True):
                for moment in range(begin, max(begin, end) + 1):
                    self._sets.setdefault(moment, set()).add(pitch % 12)

    def lean(self, tick: int, key: KeySignature) -> float:
        """How many fifths to the sharp side of the key's middle the notes of the key lie that sound at `tick`."""
        moment = tick // self._size
        found = self._leans.get((moment, key.fifths))
        if found is None:
            low = key.fifths - 1
            places = [low + (pc * 7 - low) % 12 for pc in self._sets.get(moment, ())]
            own = [place for place in places if place <= key.fifths + 5]
            found = _HARMONY * (sum(own) / len(own) - key.fifths - 2) if own else 0.0
            self._leans[moment, key.fifths] = found
        return found


def _likely_key(score: Score) -> KeySignature:
    """The major key whose scale holds most of the notes' time; C where none is better."""
    weights = np.zeros(12)
    for track in score.tracks:
        if not track.is_drum:
            np.add.at(weights, track.notes["pitch"] % 12, np.minimum(track.notes["duration"], 8 * score.ticks_per_beat))
    by_fifths: npt.NDArray[np.float64] = weights[np.arange(12) * 7 % 12]

    def held(fifths: int) -> float:
        return float(by_fifths[(np.arange(7) + fifths - 1) % 12].sum())

    best = max(sorted(range(-5, 7), key=abs), key=held)
    return KeySignature(0, best, "major")
