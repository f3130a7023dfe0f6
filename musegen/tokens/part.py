"""One track of a piece that is being written, as its grammar knows it."""

from __future__ import annotations

import copy

import numpy as np
import numpy.typing as npt

from musegen.tokens.heard import NO_PITCH
from musegen.tokens.vocabulary import DRUM_PROGRAM, DURATIONS, STEPS_PER_QUARTER, VELOCITY_CLASS

BoolRow = npt.NDArray[np.bool_]

DEFAULT_DURATION = DURATIONS.index(STEPS_PER_QUARTER)
DEFAULT_VELOCITY = 80 // VELOCITY_CLASS
NEVER = 2**31 - 1


class Part:
    """What one track carries along: sticky duration and velocity, cursor, and when each pitch falls silent.

    Attributes:
        silent_from: (128,) the step from which on each pitch may begin; NEVER where it may not at all.
        freest: the pitch, or one of those, that may begin first.
        sounds_until: the step at which its last note falls silent, before any fill.
        end: in a fill no note of the span may sound past this step.
    """

    def __init__(self, program: int, permitted: BoolRow) -> None:
        self.program = program
        self.drums = program == DRUM_PROGRAM
        self.duration = DEFAULT_DURATION
        self.velocity = DEFAULT_VELOCITY
        self.last_pitch = NO_PITCH
        self.cursor = self.end = self.sounds_until = 0
        self._begin(np.where(permitted, 0, NEVER).astype(np.int32))

    def _begin(self, silent_from: npt.NDArray[np.int32]) -> None:
        self.silent_from = silent_from
        self.freest = int(silent_from.argmin())

    def copy(self) -> Part:
        """An independent one."""
        twin = copy.copy(self)
        twin.silent_from = self.silent_from.copy()
        return twin

    def hold(self, pitch: int, end: int) -> None:
        """Let a pitch sound until a step."""
        self.silent_from[pitch] = max(end, int(self.silent_from[pitch]))
        self.sounds_until = max(end, self.sounds_until)
        self.last_pitch = pitch
        if pitch == self.freest:
            self.freest = int(self.silent_from.argmin())

    def go_back(self, silent_from: npt.NDArray[np.int32], end: int) -> None:
        """Take up what sounded where a span to fill begins, which ends at `end`."""
        self._begin(silent_from)
        self.cursor, self.end = 0, end

    def free(self, onset: int) -> BoolRow:
        """(128,) the pitches that may begin at `onset`."""
        return self.silent_from <= onset

    def first_free(self) -> int:
        """The first step at which any pitch may begin."""
        return int(self.silent_from[self.freest])
