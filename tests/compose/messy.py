"""Random pieces as files have them: off the grid, changes of tempo, metre and key, drums, shared channels, pedals."""

from __future__ import annotations

import numpy as np

from musegen.score.model import (
    CONTROL_DTYPE,
    RELEASE_DTYPE,
    Chord,
    KeySignature,
    Score,
    Tempo,
    TimeSignature,
    Track,
    frozen,
)
from musegen.score.timing import bar_starts

METRES = ((4, 4), (3, 4), (6, 8), (7, 8), (2, 2), (5, 16))


def messy(seed: int, *, bars: int = 7, tracks: int = 3, chords: bool = False) -> Score:
    """A piece of so many bars with notes in the first and the last; its tracks begin with a pitched one."""
    rng = np.random.default_rng(seed)
    ticks = int(rng.choice([24, 96, 220, 480, 1000]))
    first, second = (METRES[int(k)] for k in rng.integers(len(METRES), size=2))
    frame = Score(ticks, time_signatures=(TimeSignature(0, *first),))
    change = int(bar_starts(frame, 2)[-1])
    frame = Score(ticks, time_signatures=(TimeSignature(0, *first), TimeSignature(change, *second)))
    lines = bar_starts(frame, bars)
    made = []
    for k in range(tracks):
        is_drum = k > 0 and rng.random() < 0.3
        starts = np.concatenate([rng.integers(lines[-1], size=12), [0, lines[-2]]])
        durations = np.minimum(1 + rng.integers(2 * ticks, size=14), lines[-1] - starts)
        notes = [
            (int(start), int(rng.integers(35, 80)), int(duration), int(rng.integers(1, 128)))
            for start, duration in zip(starts, durations, strict=True)
        ]
        pedal = frozen([(int(t), 64, 127) for t in rng.integers(lines[-1], size=3)], CONTROL_DTYPE)
        releases = frozen([(start + duration, pitch, 5) for start, pitch, duration, _ in notes[:4]], RELEASE_DTYPE)
        channel = None if rng.random() < 0.5 else 9 if is_drum else int(rng.integers(3))
        made.append(Track(notes, program=int(rng.integers(128)), is_drum=is_drum, name=f"part {k}", channel=channel,
                          controls=pedal, releases=releases))  # fmt: skip
    return Score(
        ticks,
        tuple(made),
        tempos=(Tempo(0, 500_001), Tempo(int(lines[bars // 2]) + 1, 400_000)),
        time_signatures=frame.time_signatures,
        key_signatures=(KeySignature(0, 1, "major"), KeySignature(int(lines[bars // 2]), -3, "minor")),
        chords=(Chord(0, "G"), Chord(int(lines[2]), "Em7")) if chords else (),
        title="A messy piece",
    )
