"""What a model of the package spends on the JSB chorales, in the unit of that benchmark: nats per voice and step.

    python scripts/jsb_pretrained.py data/jsb --models transformer

data/jsb holds Jsb16thSeparated.json. Each chorale is read as a piece of four voices in 4/4, as long as it is; the head
is the same for all (style chorale, the metre, four choirs) and is given, everything behind it is charged: bars and the
end, voices, lengths, places and pitches. The grid does not tell a held note from one struck again, and the events of
the benchmark (musegen/evaluate/chorales.py) can be told from the tokens and the other way round, so the sums compare.
Works of the valid and test splits must have been kept out of the model's training, as the shipped ones' were.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

from musegen.corpus.shards import Piece
from musegen.errors import MusegenError
from musegen.evaluate.chorales import REST, SPLITS, VOICES, Grid, read
from musegen.evaluate.likelihood import evaluate
from musegen.score.model import NOTE_DTYPE, Score, TimeSignature, Track, frozen
from musegen.tokens import Controls, Remi, to_grid
from musegen.train.held_out import network
from musegen.train.objective import scorer

STEP = 120
"""Ticks of a sixteenth, of 480 a quarter."""
VELOCITY = 84
"""The one that tokens begin with."""
CHOIR = 52


def piece_of(grid: Grid) -> Piece:
    """A grid (T, 4) as tokens, runs of one pitch as one note."""
    tracks = [Track(frozen(voice(grid[:, k]), NOTE_DTYPE), program=CHOIR) for k in range(len(VOICES))]
    score = Score(480, tuple(tracks), time_signatures=(TimeSignature(0, 4, 4),), end=STEP * len(grid))
    notes = to_grid(score)
    ids = Remi().encode_grid(notes, Controls(style="chorale", bars=False))
    return Piece(ids=ids, n_notes=len(notes.notes), source="jsb", seconds=0.0)


def voice(pitches: np.ndarray[tuple[int], np.dtype[np.int16]]) -> list[tuple[int, int, int, int]]:
    """The notes (start, pitch, duration, velocity) of one voice."""
    begins = np.flatnonzero(np.diff(pitches, prepend=REST - 1))
    ends = np.append(begins[1:], len(pitches))
    return [
        (STEP * begin, int(pitches[begin]), STEP * (end - begin), VELOCITY)
        for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)
        if pitches[begin] != REST
    ]


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="Jsb16thSeparated.json, or the folder that holds it")
    parser.add_argument("--models", default="transformer,rnn", help="names or files, commas between")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    try:
        grids = read(options.data)
        pieces = {split: [piece_of(grid) for grid in grids[split]] for split in SPLITS if split != "train"}
        cells = {split: sum(grid.size for grid in grids[split]) for split in pieces}
        print("| | " + " | ".join(pieces) + " |\n|---|" + "---:|" * len(pieces))
        for name in options.models.split(","):
            model = network(name)
            nats = {split: evaluate(scorer(model), pieces[split], model.config.context)["all"].nats for split in pieces}
            print(
                f"| {name} | " + " | ".join(f"{nats[split] / cells[split]:.4f}" for split in pieces) + " |", flush=True
            )
    except MusegenError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
