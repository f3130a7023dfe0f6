"""Where everything of a piano-roll picture stands: systems of bars, pitch rows and drum rows, in pixels.

A system is a row of bars as on a page of music. All systems share one scale (pixels a tick) and one pitch
range, so that equal lengths and equal pitches look equal anywhere on the page.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from musegen.errors import RequestError
from musegen.score.model import Array, Score
from musegen.score.timing import bar_starts, n_bars

MARGIN = 24
KEYBOARD_WIDTH = 44  # the keys drawn at the left of a system
DRUM_NAMES_WIDTH = 128  # in their stead where a piece has drums, whose names are long
SYSTEM_HEAD = 34  # bar numbers and what changes, above the roll
SYSTEM_GAP = 18
LANE_GAP = 6  # between the roll and the drum lane
DRUM_ROW_HEIGHT = 13
MAX_HEIGHT = 16_000  # what image viewers open without complaint
MIN_WIDTH, MAX_WIDTH = 400, 8_000
_ROW_HEIGHTS = (
    10,
    9,
    8,
    7,
    6,
    5,
    4,
)  # pixels a semitone: the largest at which a system stays below _ROLL_HEIGHT
_ROLL_HEIGHT = 330
_BARS_A_SYSTEM = (16, 8, 4, 2, 1)  # phrases are built of powers of two
_MIN_QUARTER, _MAX_QUARTER = 34.0, 120.0  # pixels a quarter note


@dataclass(frozen=True)
class System:
    """Bars `first` to `last` (0-based, half-open), ticks `start` to `end`; `top` is the roll's upper edge."""

    first: int
    last: int
    start: int
    end: int
    top: int


@dataclass(frozen=True)
class Layout:
    """A page: pitches `low` to `high` have a row each, so have `drums` (top down); `bars` are all lines."""

    width: int
    height: int
    left: int
    pixels_per_tick: float
    row_height: int
    low: int
    high: int
    drums: tuple[int, ...]
    bars: Array
    systems: tuple[System, ...]

    @property
    def roll_height(self) -> int:
        """Height of the pitch rows of a system; 0 where only drums play."""
        return (self.high - self.low + 1) * self.row_height

    @property
    def system_height(self) -> int:
        """Height of a system, from the upper edge of its roll to the lower edge of its drum lane."""
        return _lanes_height(self.roll_height, len(self.drums))

    def x(self, system: System, tick: int) -> int:
        """The column where `tick` stands in `system`."""
        return self.left + round((tick - system.start) * self.pixels_per_tick)

    def y(self, system: System, pitch: int) -> int:
        """The upper edge of the row of `pitch`."""
        return system.top + (self.high - pitch) * self.row_height

    def drum_y(self, system: System, pitch: int) -> int:
        """The upper edge of the row of a drum."""
        gap = LANE_GAP if self.roll_height else 0
        return system.top + self.roll_height + gap + self.drums.index(pitch) * DRUM_ROW_HEIGHT


def plan(score: Score, *, top: int, width: int, bars: tuple[int, int] | None, bars_per_row: int | None) -> Layout:
    """Lay `score` out on a page `width` pixels wide, the first system's head at `top`.

    Args:
        score: what to draw.
        top: pixels kept free above, for the title and the legend.
        width: of the page, in pixels.
        bars: the bars to draw, 0-based and half-open; None is all.
        bars_per_row: bars in a system; None is what reads well.

    Raises:
        RequestError: if the width or the bars are out of range, or the page would be too high.
    """
    if not MIN_WIDTH <= width <= MAX_WIDTH:
        raise RequestError(f"a picture {width} pixels wide: the width must be {MIN_WIDTH} to {MAX_WIDTH}")
    if bars_per_row is not None and not 1 <= bars_per_row <= 64:
        raise RequestError(f"{bars_per_row} bars a row: it must be 1 to 64")
    total = max(1, n_bars(score))
    first, last = (0, total) if bars is None else bars
    if not 0 <= first < last <= total:
        raise RequestError(f"bars {first + 1}-{last} are not in the piece, which has bars 1-{total}")
    low, high = _pitch_range(score)
    drums = _drum_rows(score)
    left = MARGIN + (DRUM_NAMES_WIDTH if drums else KEYBOARD_WIDTH)
    _check_height(total=last - first, shown=bars_per_row or _BARS_A_SYSTEM[0], top=top)

    lines = bar_starts(score, total)
    room = width - left - MARGIN
    per_row = bars_per_row or _bars_per_row(lines[first : last + 1], room, score.ticks_per_beat)
    breaks = _breaks(first, last, per_row)
    longest = max(int(lines[b] - lines[a]) for a, b in itertools.pairwise(breaks))
    scale = min(room / longest, _MAX_QUARTER / score.ticks_per_beat)

    row_height = _row_height(high - low + 1)
    lanes = _lanes_height((high - low + 1) * row_height, len(drums))
    step = SYSTEM_HEAD + lanes + SYSTEM_GAP
    height = top + step * (len(breaks) - 1) + MARGIN - SYSTEM_GAP
    if height > MAX_HEIGHT:
        fits = (MAX_HEIGHT - top) // step * per_row
        raise RequestError(
            f"{last - first} bars make a picture {height} pixels high, and {MAX_HEIGHT} is the most: "
            f"choose at most {fits} bars, or more bars a row on a wider page"
        )
    systems = tuple(
        System(a, b, int(lines[a]), int(lines[b]), top + index * step + SYSTEM_HEAD)
        for index, (a, b) in enumerate(itertools.pairwise(breaks))
    )
    return Layout(width, height, left, scale, row_height, low, high, drums, lines, systems)


def _check_height(*, total: int, shown: int, top: int) -> None:
    """Refuse what is hopelessly long before its bar lines are reckoned: a damaged file may claim years."""
    at_most = (MAX_HEIGHT - top) // (SYSTEM_HEAD + SYSTEM_GAP) * shown
    if total > at_most:
        raise RequestError(f"the piece has {total} bars, too many for a picture: choose at most {at_most} of them")


def _lanes_height(roll: int, n_drums: int) -> int:
    return roll + n_drums * DRUM_ROW_HEIGHT + (LANE_GAP if roll and n_drums else 0)


def _pitch_range(score: Score) -> tuple[int, int]:
    """The rows: what sounds, two semitones around it, and an octave and a half at least. Drums only: none."""
    pitches = [track.notes["pitch"] for track in score.tracks if not track.is_drum and len(track.notes)]
    if not pitches:
        return (1, 0) if score.n_notes else (60, 77)
    sounding = np.concatenate(pitches)
    low, high = int(sounding.min()) - 2, int(sounding.max()) + 2
    missing = max(0, 18 - (high - low + 1))
    return max(0, low - missing // 2), min(127, high + (missing + 1) // 2)


def _drum_rows(score: Score) -> tuple[int, ...]:
    """The drums that are played, cymbals (high numbers) above, the bass drum below."""
    played = {int(pitch) for track in score.tracks if track.is_drum for pitch in track.notes["pitch"]}
    return tuple(sorted(played, reverse=True))


def _row_height(n_rows: int) -> int:
    return next((height for height in _ROW_HEIGHTS if n_rows * height <= _ROLL_HEIGHT), _ROW_HEIGHTS[-1])


def _breaks(first: int, last: int, per_row: int) -> list[int]:
    """The bars at which the systems begin, and the last. A pickup's bar comes on top of the first system."""
    over = 1 if last - first > per_row and (last - first) % per_row == 1 else 0
    return [first, *range(first + over + per_row, last, per_row), last]


def _bars_per_row(lines: Array, room: int, ticks_per_beat: int) -> int:
    """The most bars, a power of two, at which sixteenths can still be told apart."""
    bar = float(np.median(np.diff(lines))) / ticks_per_beat
    return next((count for count in _BARS_A_SYSTEM if room / (count * bar) >= _MIN_QUARTER), 1)
