"""What sounds at each step of a piece, of the notes written so far: the memory behind thirteen of the ATTRIBUTES."""

from __future__ import annotations

import numpy as np

from musegen.tokens.vocabulary import MAX_BAR_STEPS

NO_PITCH = 128
CLASSES = tuple(tuple(mask >> pc & 1 for pc in range(12)) for mask in range(1 << 12))
"""Whether each pitch class is in a set, for each set: the sum of 1 << pitch class of those in it."""

SILENCE = (NO_PITCH, *CLASSES[0])


class Heard:
    """Which pitched notes sound at each step of the piece, of those written so far."""

    def __init__(self, steps: int = 4 * MAX_BAR_STEPS) -> None:
        self.classes = np.zeros(steps, np.int16)  # sets of pitch classes
        self.lowest = np.full(steps, NO_PITCH, np.int16)

    def copy(self) -> Heard:
        """An independent one."""
        twin = Heard(0)
        twin.classes, twin.lowest = self.classes.copy(), self.lowest.copy()
        return twin

    def add(self, onset: int, end: int, pitch: int) -> None:
        """Write a note."""
        if end > len(self.classes):
            more = max(end, 2 * len(self.classes)) - len(self.classes)
            self.classes = np.pad(self.classes, (0, more))
            self.lowest = np.pad(self.lowest, (0, more), constant_values=NO_PITCH)
        self.classes[onset:end] |= 1 << pitch % 12
        lowest = self.lowest[onset:end]
        np.minimum(lowest, pitch, out=lowest)

    def lowest_and_classes(self, step: int) -> tuple[int, int]:
        """The lowest pitch at a step, and the set of pitch classes."""
        return (int(self.lowest[step]), int(self.classes[step])) if step < len(self.classes) else (NO_PITCH, 0)

    def at(self, step: int) -> tuple[int, ...]:
        """The lowest pitch, then whether each pitch class sounds, as ATTRIBUTES has them."""
        lowest, classes = self.lowest_and_classes(step)
        return (lowest, *CLASSES[classes])
