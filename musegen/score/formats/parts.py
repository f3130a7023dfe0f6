"""What formats and bridges share: a Track as parts of one program each, and texts that say something to us."""

from __future__ import annotations

import numpy as np

from musegen.score.model import Array, Score, Track

COMPOSER = "composer: "
"""How the text of a Score begins that names the composer."""
MADE = "musegen "
"""How the text of a Score begins that says how musegen made it; JSON follows."""


def said(score: Score, beginning: str) -> str:
    """What stands in the first text with this beginning; "" if there is none."""
    texts = (text.text.removeprefix(beginning) for text in score.texts if text.text.startswith(beginning))
    return next(texts, "")


def n_texts_besides(score: Score) -> int:
    """How many texts there are, in Tracks too, besides the composer's and our own."""
    known = sum(said(score, beginning) != "" for beginning in (COMPOSER, MADE))
    return len(score.texts) + sum(len(track.texts) for track in score.tracks) - known


def by_program(track: Track) -> list[tuple[int, Array]]:
    """(program, notes) for each program that plays, in order of appearance; one pair at least.

    A note belongs to the program in force when it begins.
    """
    changes = track.program_changes
    programs = np.append(changes["program"], track.program)  # the last one holds before the first change
    in_force = programs[np.searchsorted(changes["time"], track.notes["start"], side="right") - 1]
    order = dict.fromkeys(in_force.tolist()) or {track.program: None}
    return [(program, track.notes[in_force == program]) for program in order]
