"""Written notes -> rows of a Score: ties joined, dynamics as velocities, grace notes given time."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from typing import Any

from musegen.score.notation.places import SPELLABLE

DEFAULT_VELOCITY = 80
"""Of notes without a velocity where no dynamic mark is in force."""
VELOCITIES = {
    "pppppp": 1, "ppppp": 5, "pppp": 10, "ppp": 16, "pp": 33, "p": 49, "mp": 64, "mf": 80, "f": 96, "ff": 112,
    "fff": 126, "ffff": 127, "fffff": 127, "ffffff": 127, "fp": 49, "sfp": 49, "sfpp": 33, "pf": 96,
}  # fmt: skip
"""Of the dynamic marks that stay in force; a sforzato is of its note alone and changes nothing here."""


_NOTATED = (1, 2, 4, 8, 16, 3, 6, 12, 24, 5, 10, 20, 7, 14, 9, 18)
"""Parts of a quarter, the likelier ones first."""
_ROUNDING = Fraction(1, 500)
"""Of a quarter: how far the times of a file that divides it into 480 or more may be off."""
SMALLEST = Fraction(1, 16)
"""A 64th note, in quarters."""


@cache
def notated_time(time: Fraction) -> Fraction:
    """The nearest time in quarters that note values and tuplets can say."""
    if time.denominator in SPELLABLE:
        return time
    for denominator in _NOTATED:
        rounded = Fraction(round(time * denominator), denominator)
        if abs(rounded - time) <= _ROUNDING:
            return rounded
    return round(time / SMALLEST) * SMALLEST


@dataclass
class Sound:
    """One note in the making: times in quarters, `voice` tells the voices of the part apart."""

    start: Fraction
    end: Fraction
    pitch: int
    velocity: int | None
    voice: Any
    grace: bool
    tie: str | None
    chord: int
    """The same for the notes of one chord."""


@dataclass
class Dynamics:
    """The dynamic marks of a part, or of all its staves, as (time, velocity) in the order of time."""

    marks: list[tuple[Fraction, int]] = field(default_factory=list)

    def at(self, time: Fraction) -> int:
        """The velocity in force at `time`."""
        index = bisect_right(self.marks, time, key=lambda mark: mark[0])
        return self.marks[index - 1][1] if index else DEFAULT_VELOCITY


def join_ties(sounds: Iterable[Sound]) -> list[Sound]:
    """The notes with tied ones as one: a note goes on where one of its pitch ends that is tied to what follows.

    Of several such the one in the same voice goes on, whether or not the second note says that the tie ends there
    (many files do not). A tie into nothing is none.
    """
    joined: list[Sound] = []
    open_ties: dict[tuple[int, Fraction], list[Sound]] = defaultdict(list)
    for sound in sorted(sounds, key=lambda s: (s.start, s.end)):  # a grace note before what it is tied to
        held = open_ties.get((sound.pitch, sound.start), [])
        same = [head for head in held if head.voice == sound.voice]
        if same or (held and sound.tie in {"stop", "continue"}):
            head = (same or held)[0]
            held.remove(head)
            if head.grace:
                head.grace, head.velocity = sound.grace, head.velocity or sound.velocity
            head.end = sound.end
        else:
            head = sound
            joined.append(sound)
        if sound.tie in {"start", "continue"}:
            open_ties[sound.pitch, sound.end].append(head)
    return joined


def rows(
    sounds: list[Sound], dynamics: Dynamics, ticks: Callable[[Fraction], int], resolution: int
) -> list[tuple[int, int, int, int]]:
    """The notes as rows (start, pitch, duration, velocity) of a Score, in ticks."""
    table = [[ticks(s.start), ticks(s.end)] for s in sounds]
    by_voice: dict[Any, list[int]] = defaultdict(list)
    for index, sound in enumerate(sounds):
        by_voice[sound.voice].append(index)
    for members in by_voice.values():
        if any(sounds[index].grace for index in members):
            _place_graces(sounds, table, members, resolution)
    return [
        (start, sound.pitch, end - start, max(1, min(127, _velocity(sound, dynamics))))
        for sound, (start, end) in zip(sounds, table, strict=True)
        if 0 <= sound.pitch <= 127
    ]


def _velocity(sound: Sound, dynamics: Dynamics) -> int:
    return dynamics.at(sound.start) if sound.velocity is None else sound.velocity


def _place_graces(sounds: list[Sound], table: list[list[int]], members: list[int], resolution: int) -> None:
    """Give the grace notes of a voice time from the end of what is before their beat, half of it at most.

    At the very start of a piece they take it from the note that they ornament.
    """
    by_time: dict[int, list[int]] = defaultdict(list)
    for index in members:
        if sounds[index].grace:
            by_time[table[index][0]].append(index)
    plain = [index for index in members if not sounds[index].grace]
    for beat, graces in by_time.items():
        steps = _steps(sounds, graces)
        count = max(steps) + 1
        if beat > 0:
            before = max((table[index][0] for index in plain if table[index][0] < beat), default=0)
            grid, length = _grace_grid(count, (beat - before) // 2, resolution)
            first = beat - length
            for index in plain:
                if table[index][0] < first < table[index][1] <= beat:
                    table[index][1] = first
        else:
            mains = [index for index in plain if table[index][0] == beat]
            room = min((table[index][1] - beat for index in mains), default=resolution)
            grid, length = _grace_grid(count, room // 2, resolution)
            first = beat
            for index in mains:
                table[index][0] = beat + length
        for index, step in zip(graces, steps, strict=True):
            start = first + length * step // count // grid * grid
            table[index][:] = [start, max(start + grid, first + length * (step + 1) // count // grid * grid)]


def _grace_grid(count: int, room: int, resolution: int) -> tuple[int, int]:
    """The note value, in ticks, of `count` grace notes in `room` ticks, and the time that they take.

    An eighth of a quarter, or less; where there is no room for even the least, some begin together.
    """
    values = [resolution // parts for parts in (8, 16) if resolution % parts == 0] or [max(1, resolution // 8)]
    for value in values:
        if count * value <= room:
            return value, count * value
    return values[-1], max(values[-1], room // values[-1] * values[-1])


def _steps(sounds: list[Sound], graces: list[int]) -> list[int]:
    """The place of each grace note among those before one beat; those of one chord share it."""
    steps: list[int] = []
    for position, index in enumerate(graces):
        same = position > 0 and sounds[index].chord == sounds[graces[position - 1]].chord
        steps.append(0 if position == 0 else steps[-1] + (not same))
    return steps


def name_dropped(counts: Counter[str], warn: Callable[[str], None]) -> None:
    """One line to `warn` for what is left out, and one for the grace notes, which were given time."""
    graces = counts["grace notes"]
    if graces:
        warn(f"{graces} grace note(s) are played just before their beat")
    left_out = [f"{count} {name}" for name, count in counts.items() if count > 0 and name != "grace notes"]
    if left_out:
        warn(f"not kept: {', '.join(left_out)}")
