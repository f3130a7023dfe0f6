"""What the bridges to other libraries share: a Track as parts of one program each, as most of them want it."""

from __future__ import annotations

import numpy as np

from musegen.score.model import Array, Track


def by_program(track: Track) -> list[tuple[int, Array]]:
    """(program, notes) for each program that plays, in order of appearance; one pair at least.

    A note belongs to the program in force when it begins.
    """
    changes = track.program_changes
    programs = np.append(changes["program"], track.program)  # the last one holds before the first change
    in_force = programs[np.searchsorted(changes["time"], track.notes["start"], side="right") - 1]
    order = dict.fromkeys(in_force.tolist()) or {track.program: None}
    return [(program, track.notes[in_force == program]) for program in order]
