"""Folders of made-up music with a manifest, for what reads corpora."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from musegen.score.formats import write
from musegen.score.model import NOTE_DTYPE, KeySignature, Score, Tempo, TimeSignature, Track, frozen

TICKS = 480
COLUMNS = ["path", "source", "title", "licence", "split", "extra"]


def tune(seed: int, *, bars: int = 12, voices: int = 1, transpose: int = 0, program: int = 73) -> Score:
    """A random walk in eighths and quarters, 4/4, one track a voice, the same for the same seed."""
    rng = np.random.default_rng(seed)
    tracks = []
    for voice in range(voices):
        rows, time, pitch = [], 0, 72 - 10 * voice + transpose
        while time < bars * 4 * TICKS:
            duration = int(rng.choice([240, 480]))
            duration = min(duration, bars * 4 * TICKS - time)
            pitch += int(rng.integers(-3, 4))
            rows.append((time, pitch, duration, 80))
            time += duration
        tracks.append(Track(notes=frozen(rows, NOTE_DTYPE), program=program, name=f"voice {voice}"))
    return Score(
        TICKS,
        tuple(tracks),
        tempos=(Tempo(0, 500_000),),
        time_signatures=(TimeSignature(0, 4, 4),),
        key_signatures=(KeySignature(0, 0, "major"),),
    )


def write_folder(folder: Path, pieces: list[tuple[str, Score, str, str]]) -> Path:
    """Write (name, score, split, extra) as MIDI files with a manifest; the folder's name is the source."""
    rows = []
    for name, score, split, extra in pieces:
        write(score, folder / "midi" / f"{name}.mid")
        rows.append([f"{folder.name}/midi/{name}.mid", folder.name, name, "none", split, extra])
    with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([COLUMNS, *rows])
    return folder
