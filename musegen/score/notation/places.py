"""Where in its bar each note begins and ends, as a fraction of a quarter that note values or tuplets can say.

Times that they can say are kept exactly; so are those that a tuplet would have were it not for the resolution (a
septuplet at 480 ticks a quarter). Where those of a beat cannot be said (somebody played them), the whole beat is
rounded, to 32nds or to triplet 16ths, whichever lies nearer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from musegen.score.model import Track

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

BINARY_UNITS = 256
"""A quarter has this many units, times the tuplets of the piece: enough for the smallest value inside a tuplet."""
SPELLABLE = frozenset((1, 2, 4, 8, 16, 3, 6, 12, 24, 5, 10, 20, 7, 14, 28, 9, 18, 36, 11, 22, 13, 26, 17, 19))
"""Denominators of the places in a quarter that are written as they are."""
_SPELLABLE = np.array(sorted(SPELLABLE))
_FAMILIES = ((3, 2), (5, 2), (7, 3), (9, 4), (11, 5), (13, 6))
"""Tuplets that are recognised though the resolution misses them, and how many places of a beat have to agree."""
FINE_STEPS = 8
"""Rounded times lie on 32nds ..."""
TRIPLET_STEPS = 6
"""... or on triplet 16ths."""
_END_WEIGHT = 0.25
"""Where a note ends was played with less care than where it begins."""


@dataclass(frozen=True)
class Frame:
    """The bars of a piece: ticks a quarter, the bar lines in ticks (one more than bars), the atom of each in 1/256."""

    ticks_per_beat: int
    ticks: Ints
    atoms: Ints


@dataclass(frozen=True)
class Places:
    """The starts and then the ends of a track's notes, 2 n rows in all.

    Attributes:
        bars: the bar of each.
        offsets: ticks from its beginning.
        numerators: quarters from its beginning, over `denominators`.
        denominators: likewise.
        bad: whether neither a value nor a tuplet ends there; only rounding will do.
        beats: a number for each beat (atom of a bar) that has a row.
        atoms: the atom of each row, in 1/256 of a quarter.
        held: whether the end was put to the next note or eighth.
    """

    bars: Ints
    offsets: Ints
    numerators: Ints
    denominators: Ints
    bad: Bools
    beats: Ints
    atoms: Ints
    held: Bools

    @property
    def odd(self) -> int:
        """What a quarter must be divisible by, powers of two aside."""
        found = np.unique((self.denominators // np.gcd(self.numerators, self.denominators))[~self.bad]).tolist()
        return math.lcm(3 if self.bad.any() else 1, *(d // (d & -d) for d in found))


def spellable(ticks: int, ticks_per_beat: int) -> bool:
    """Whether a length can be written as it is."""
    return ticks_per_beat // math.gcd(ticks, ticks_per_beat) in SPELLABLE


def places_of(track: Track, frame: Frame, coarse: Sequence[int] = ()) -> Places:
    """Where the notes of a track begin and end; in the bars `coarse` no place stands as it is."""
    starts, held = track.notes["start"], _held(track, frame)
    times = np.concatenate((starts, held))
    bars = np.clip(np.searchsorted(frame.ticks, times, side="right") - 1, 0, len(frame.atoms) - 1)
    offsets, beat = times - frame.ticks[bars], frame.ticks_per_beat
    bad = ~np.isin(beat // np.gcd(offsets, beat), _SPELLABLE)
    atoms = frame.atoms[bars]
    keys = bars * (1 << 20) + offsets * BINARY_UNITS // (beat * atoms)
    beats = np.unique(keys, return_inverse=True)[1].reshape(-1).astype(np.int64)
    moved = np.concatenate((np.zeros(len(starts), bool), held != starts + track.notes["duration"]))
    found = Places(bars, offsets, offsets, np.full_like(offsets, beat), bad, beats, atoms, moved)
    if bad.any():
        found = _with_hidden_tuplets(found, beat)
    return replace(found, bad=found.bad | np.isin(bars, coarse)) if len(coarse) else found


def _held(track: Track, frame: Frame) -> Ints:
    """The ends of the notes in ticks; played ones are held up to the next note or eighth where that is near.

    Whoever plays lets a key go a little early, and programs end notes a tick early; no one writes that as a rest.
    """
    beat = frame.ticks_per_beat
    starts: Ints = track.notes["start"].astype(np.int64)
    ends = starts + track.notes["duration"]
    onsets = np.append(np.unique(starts), np.iinfo(np.int64).max)
    following = onsets[np.searchsorted(onsets, ends)]
    bars = np.clip(np.searchsorted(frame.ticks, ends, side="right") - 1, 0, len(frame.atoms) - 1)
    offsets = ends - frame.ticks[bars]
    eighth = frame.ticks[bars] - (-2 * offsets // beat) * beat // 2
    near, played = beat // FINE_STEPS, ~np.isin(beat // np.gcd(offsets, beat), _SPELLABLE) & (ends > starts)
    to = np.where(following - ends <= near, following, np.where(eighth - ends <= near, eighth, ends))
    last = max(int(frame.ticks[-1]), int(ends.max(initial=0)))
    held: Ints = np.where(played, np.minimum(to, last), ends)
    return held


def _with_hidden_tuplets(places: Places, ticks_per_beat: int) -> Places:
    """The places that are nearest ticks of a tuplet's, if all of a beat are that values cannot say."""
    n_beats = int(places.beats.max()) + 1
    rows = np.unique(np.stack((places.beats, places.offsets))[:, places.bad], axis=1)
    bad_places = np.bincount(rows[0], minlength=n_beats)
    for family, wanted in _FAMILIES:
        if ticks_per_beat % family == 0 or not places.bad.any():
            continue  # the resolution has it exactly
        numerators, denominators = places.numerators.copy(), places.denominators.copy()
        missing = places.bad.copy()
        for factor in (1, 2, 4):
            parts = family * factor
            nearest = (2 * places.offsets * parts + ticks_per_beat) // (2 * ticks_per_beat)
            near = 2 * np.abs(nearest * ticks_per_beat - places.offsets * parts) <= parts
            take = missing & near & (16 * parts <= ticks_per_beat)
            numerators[take], denominators[take] = nearest[take], parts
            missing &= ~take
        enough = bad_places >= (1 if 64 * family <= ticks_per_beat and family == 3 else wanted)
        good = (np.bincount(places.beats, missing, minlength=n_beats) == 0) & enough
        taken = good[places.beats] & places.bad
        places = replace(
            places,
            numerators=np.where(taken, numerators, places.numerators),
            denominators=np.where(taken, denominators, places.denominators),
            bad=places.bad & ~taken,
        )
    return places


def units_of(places: Places, quarter: int) -> tuple[Ints, Ints, Bools]:
    """Units from the beginning of the bar, the step each was rounded to (1 for none), and which rows were moved."""
    units = places.numerators * quarter // places.denominators
    steps = np.ones_like(units)
    if not places.bad.any():
        return units, steps, np.zeros(len(units), bool)
    touched = np.zeros(int(places.beats.max()) + 1, bool)
    touched[places.beats[places.bad]] = True
    inside = touched[places.beats]
    exact = places.numerators * (quarter / places.denominators)
    atoms = places.atoms * (quarter // BINARY_UNITS)
    base = units // atoms * atoms
    n = len(units) // 2
    weights = np.concatenate((np.ones(n), np.full(n, _END_WEIGHT)))
    fine, fine_error = _to_steps(exact, base, quarter // FINE_STEPS, places.beats, weights)
    triplet_step = quarter // TRIPLET_STEPS
    triplet, triplet_error = _to_steps(exact, base, triplet_step, places.beats, weights)
    use_triplet = (triplet_error < fine_error)[places.beats] & (atoms % triplet_step == 0)
    rounded = np.where(inside, np.where(use_triplet, triplet, fine), units)
    steps = np.where(inside, np.where(use_triplet, triplet_step, quarter // FINE_STEPS), steps)
    return rounded, steps, inside & (np.abs(rounded - exact) > 1e-6 * quarter)


def _to_steps(
    exact: npt.NDArray[np.float64], base: Ints, step: int, beats: Ints, weights: npt.NDArray[np.float64]
) -> tuple[Ints, npt.NDArray[np.float64]]:
    """The nearest multiples of `step` from the beat on, and by how much each beat misses them in all."""
    near: Ints = base + np.floor((exact - base) / step + 0.5).astype(np.int64) * step
    return near, np.bincount(beats, np.abs(near - exact) * weights).astype(np.float64)
