"""What guidance leads away from: the same music without the controls that were asked for, and without the chords."""

from __future__ import annotations

import numpy as np

from musegen.compose.plan import PlannedState
from musegen.tokens import DROPPABLE, VOCABULARY, Constraints
from musegen.tokens.state import State
from musegen.tokens.writer import Ids

_LEFT_OUT = np.isin(
    VOCABULARY.types, [VOCABULARY.type_index[name] for name in (*DROPPABLE, "HIGH", "Pitch")]
)  # of the head; a Pitch in it belongs to the range


def unasked(ids: Ids) -> Ids:
    """The ids without the controls that a head may lack."""
    bars = np.flatnonzero(VOCABULARY.types[ids] == VOCABULARY.type_index["Bar"])
    in_head = np.arange(len(ids)) < (bars[0] if len(bars) else len(ids))
    return ids[~(in_head & _LEFT_OUT[ids])]


class Shadow:
    """A row without what was asked for; `prompt` are the ids it reads instead of the row's, `places` their attributes.

    Args:
        row: the state of the row.
        prompt: ids, at least one.
    """

    def __init__(self, row: PlannedState, prompt: Ids) -> None:
        self._row = row
        self._state = State(Constraints())
        self.prompt = prompt
        self.places = np.array([self._take(int(token)) for token in prompt], np.int64)

    @property
    def attributes(self) -> tuple[int, ...]:
        """What the model is told beside the last token."""
        return self._state.attributes

    def advance(self, token: int) -> bool:
        """Take an id that the row has just taken; False for a control of the head, or a word of the plan's chords."""
        if self._row.told_chords or (self._state.bar < 0 and _LEFT_OUT[token]):
            return False
        self._take(token)
        return True

    def _take(self, token: int) -> tuple[int, ...]:
        self._state.advance(token)
        return self._state.attributes
