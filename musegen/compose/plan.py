"""A grammar state held to a request: the head's controls in their order, chords, and music that is already written."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace

import numpy as np

from musegen.compose.harmony import Harmony
from musegen.score.model import KeySignature
from musegen.score.theory import Key, scale_pitch_classes
from musegen.tokens import VOCABULARY, GrammarState
from musegen.tokens.state import BoolRow
from musegen.tokens.vocabulary import KEYS

_B = VOCABULARY.blocks
_BAR, _KEY = _B["Bar"], _B["Key"]


def only(*ids: int) -> BoolRow:
    """(V,) of bool with just these ids."""
    row = np.zeros(VOCABULARY.size, np.bool_)
    row[list(ids)] = True
    return row


def any_of(name: str) -> BoolRow:
    """(V,) of bool with every id of one type."""
    row = np.zeros(VOCABULARY.size, np.bool_)
    row[_B[name].slice] = True
    return row


def scale_row(key: Key) -> BoolRow:
    """(128,) of bool: the pitches of a key, in minor with the raised sixth and seventh."""
    return np.isin(np.arange(128) % 12, list(scale_pitch_classes(key)))


@dataclass(frozen=True)
class Plan:
    """What is settled before the first note.

    Attributes:
        head: for each token after BOS up to the first bar, the ids to choose from.
        written: bar -> the ids that track 0 has there already.
        until: track 0 is written up to this step of the piece; nothing of it may begin before.
        in_scale: whether every pitch must lie in the key that the head says.
        harmony: the chords that each bar from `harmony_from` on begins with.
    """

    head: Sequence[BoolRow] = ()
    written: Mapping[int, Sequence[int]] = field(default_factory=dict)
    until: int = 0
    in_scale: bool = False
    harmony: Harmony | None = None
    harmony_from: int = 0


class PlannedState:
    """A GrammarState that follows a Plan; decoding sees no difference.

    Attributes:
        told_chords: whether the last token was one of those that say the plan's chords.
    """

    def __init__(self, state: GrammarState, plan: Plan) -> None:
        self.state = state
        self.plan = plan
        self._in_head = 0
        self._due: deque[int] = deque()
        self._chords_due = 0
        self.told_chords = False

    @property
    def done(self) -> bool:
        """Whether the piece has ended."""
        return self.state.done

    @property
    def attributes(self) -> tuple[int, ...]:
        """What the model is told beside the last token."""
        return self.state.attributes

    def copy(self) -> PlannedState:
        """An independent state at the same place."""
        twin = copy(self)
        twin.state = self.state.copy()
        twin._due = deque(self._due)  # noqa: SLF001  # of its own kind
        return twin

    def allowed(self) -> BoolRow:
        """(V,) of bool: the ids that may follow."""
        if self._due:
            return only(self._due[0])
        if self.state.head >= -1 and self._in_head < len(self.plan.head):
            return self.plan.head[self._in_head]
        mask = self.state.allowed()
        if self.state.bar >= 0 and self.state.track == 0 and self.state.bar_start < self.plan.until:
            self._leave_room(mask)
        return mask

    def advance(self, token: int) -> None:
        """Take one token."""
        self.told_chords = self._chords_due > 0
        if self._due:
            self._due.popleft()
            self._chords_due = max(0, self._chords_due - 1)
        elif self.state.head >= -1 and self._in_head < len(self.plan.head):
            self._in_head += 1
        if self.plan.in_scale and _KEY.start <= token < _KEY.stop:
            self._hold_to(Key.from_signature(KeySignature(0, *KEYS[token - _KEY.start])))
        self.state.advance(token)
        if _BAR.start <= token < _BAR.stop:
            if self.plan.harmony is not None and self.state.bar >= self.plan.harmony_from:
                self._due.extend(self.plan.harmony.tokens(self.state.bar - self.plan.harmony_from, self.state.metre))
                self._chords_due = len(self._due)
            self._due.extend(self.plan.written.get(self.state.bar, ()))

    def _hold_to(self, key: Key) -> None:
        rules = self.state.constraints
        pitches = scale_row(key) if rules.pitches is None else rules.pitches & scale_row(key)
        self.state.constraints = replace(rules, pitches=pitches)

    def _leave_room(self, mask: BoolRow) -> None:
        """Let nothing of track 0 begin before `until`, and nothing join what is written."""
        state, free_from = self.state, self.plan.until - self.state.bar_start
        position = _B["Position"]
        mask[position.start : min(position.start + free_from, position.stop)] = False
        if state.onset < self.plan.until:
            mask[_B["Add"].slice] = mask[_B["DrumAdd"].slice] = False
        if state.cursor < free_from:
            for name in ("Velocity", "Duration", "Pitch", "Drum"):
                mask[_B[name].slice] = False
        if not mask.any():
            mask[_B["EOS" if state.left == 0 else "Bar"].start + max(0, min(state.left, 65) - 1)] = True
