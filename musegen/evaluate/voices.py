"""Metrics of voice leading: faults of a setting for four voices, as textbooks count them.

Conventions: the voices are the four tracks with pitches, the highest on average first (soprano, alto, tenor, bass;
of equal ones the earlier track); each must be a single line (notes overlap by at most a 32nd). All metrics are NaN
for other pieces. Times are taken to the nearest 24th of a quarter. A sonority is what the four voices sound at an
onset of any of them; a change is a pair of neighbouring sonorities in which at least two voices sound on and at
least one of these moves. Phrase ends are not known and do not part: Bach's own chorales have a few of each fault.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np

from musegen.errors import RequestError
from musegen.evaluate.metric import Array, Metric, evaluator, ratio, require_pitched_notes, share, table
from musegen.score.model import Score

STEPS = 24
"""Steps a quarter to which times are taken."""
OVERLAP = STEPS // 8
"""How far notes of a line may overlap, in steps: a 32nd, as played legato does."""
FIFTH, OCTAVE = 7, 0
"""Intervals modulo 12."""
RANGES = ((60, 81), (55, 74), (48, 69), (40, 64))
"""Lowest and highest pitch of soprano (C4 to A5), alto (G3 to D5), tenor (C3 to A4) and bass (E2 to E4): what textbooks
allow, widened by a step or two where Bach's chorales go further."""


@dataclass(frozen=True, eq=False)
class Voices:
    """`sonorities` (S, 4): MIDI pitches at each onset, soprano first, -1 where a voice rests; `lines`: each voice's."""

    sonorities: Array
    lines: tuple[Array, ...]


def four_voices(score: Score) -> Voices:
    """The four voices of a piece.

    Raises:
        RequestError: unless there are four tracks with pitches, each a single line.
    """
    tracks = [track for track in score.tracks if len(track.notes) and not track.is_drum]
    if len(tracks) != 4:
        raise RequestError(f"has {len(tracks)} tracks with pitches; voice leading needs four, one a voice")
    tracks.sort(key=lambda track: -float(track.notes["pitch"].mean()))
    starts, ends = [], []
    for track in tracks:
        start = _steps(track.notes["start"], score)
        end = np.maximum(_steps(track.notes["start"] + track.notes["duration"], score), start + 1)
        following = np.append(start[1:], end[-1:])
        if (following <= start).any() or (end - following > OVERLAP).any():
            raise RequestError(f"track {track.name!r} sounds chords; voice leading needs four tracks of one voice each")
        starts.append(start)
        ends.append(np.minimum(end, following))
    times = np.unique(np.concatenate(starts))
    columns = []
    for track, start, end in zip(tracks, starts, ends, strict=True):
        at = np.searchsorted(start, times, side="right") - 1
        columns.append(np.where((at >= 0) & (times < end[at]), track.notes["pitch"][at].astype(np.int64), -1))
    return Voices(np.stack(columns, axis=1), tuple(track.notes["pitch"].astype(np.int64) for track in tracks))


def _steps(ticks: Array, score: Score) -> Array:
    return np.asarray((2 * ticks * STEPS + score.ticks_per_beat) // (2 * score.ticks_per_beat))


def validate(score: Score) -> None:
    """Raise RequestError unless there are four voices."""
    require_pitched_notes(score)
    four_voices(score)


def _of_voices(score: Score, function: Callable[[Voices], float]) -> float:
    """`function` of the four voices; NaN where there are not four."""
    try:
        voices = four_voices(score)
    except RequestError:
        return math.nan
    return function(voices)


def parallels(voices: Voices, interval: int) -> float:
    """Parallels at `interval` modulo 12 in 100 changes: two voices that both move, the same way, and keep it."""
    before, after = voices.sonorities[:-1], voices.sonorities[1:]
    on = (before >= 0) & (after >= 0)
    moved = on & (before != after)
    changes = int(np.count_nonzero((on.sum(axis=1) >= 2) & moved.any(axis=1)))
    found = 0
    for i, j in combinations(range(4), 2):
        kept = (np.abs(before[:, i] - before[:, j]) % 12 == interval) & (
            np.abs(after[:, i] - after[:, j]) % 12 == interval
        )
        together = moved[:, i] & moved[:, j] & ((after[:, i] > before[:, i]) == (after[:, j] > before[:, j]))
        found += int(np.count_nonzero(kept & together))
    return 100 * ratio(found, changes)


def _neighbours(voices: Voices, pairs: int) -> tuple[Array, Array]:
    """(S, pairs) semitones from each lower voice up to its upper neighbour, and whether both sound."""
    upper, lower = voices.sonorities[:, :pairs], voices.sonorities[:, 1 : pairs + 1]
    return upper - lower, (upper >= 0) & (lower >= 0)


def crossings(voices: Voices) -> float:
    """The share of sonorities, of those with two neighbouring voices, in which one is below its lower neighbour."""
    distance, both = _neighbours(voices, 3)
    return _share_of_sonorities(distance < 0, both)


def wide_spacing(voices: Voices) -> float:
    """The share of sonorities with more than an octave from soprano to alto or from alto to tenor."""
    distance, both = _neighbours(voices, 2)
    return _share_of_sonorities(distance > 12, both)


def _share_of_sonorities(holds: Array, told: Array) -> float:
    """The share of sonorities for which `holds` somewhere among what is told, of those with anything told."""
    rows = np.any(told, axis=1)
    return share(np.any(holds & told, axis=1, keepdims=True)[rows])


def wide_leaps(voices: Voices) -> float:
    """The share of melodic intervals of the voices that are wider than an octave."""
    return share(np.abs(np.concatenate([np.diff(line) for line in voices.lines])) > 12)


def out_of_range(voices: Voices) -> float:
    """The share of notes outside the range of their voice."""
    outside = [(line < low) | (line > high) for line, (low, high) in zip(voices.lines, RANGES, strict=True)]
    return share(np.concatenate(outside))


def _metric(
    name: str, function: Callable[[Voices], float], unit: str, high: float, description: str,
    source: str = "Aldwell and Schachter",
) -> Metric:  # fmt: skip
    return Metric(name, partial(_of_voices, function=function), unit, 0, high, source, description)


METRICS = table(
    _metric("parallel_fifths", partial(parallels, interval=FIFTH), "in 100 changes", 400, "parallel fifths"),
    _metric("parallel_octaves", partial(parallels, interval=OCTAVE), "in 100 changes", 600,
            "parallel octaves and unisons"),
    _metric("voice_crossing_rate", crossings, "share", 1, "sonorities with a voice below its lower neighbour"),
    _metric("wide_spacing_rate", wide_spacing, "share", 1, "sonorities with over an octave between upper voices"),
    _metric("wide_leap_rate", wide_leaps, "share", 1, "melodic intervals over an octave", "Huron 2001"),
    _metric("out_of_range_rate", out_of_range, "share", 1, "notes outside the range of their voice"),
)  # fmt: skip
"""Metrics of this family by name."""

evaluate = evaluator(METRICS, validate)
"""All metrics of this family; raises as `validate`."""
