"""What a model of the package spends on the JSB chorales, in the unit of that benchmark: nats per voice and step.

    python scripts/jsb_pretrained.py data/jsb --models transformer
    python scripts/jsb_pretrained.py data/jsb --models transformer --finetune 30m --run runs/jsb

data/jsb holds Jsb16thSeparated.json. Each chorale is read as a piece of four voices in 4/4, as long as it is; the head
is the same for all (style chorale, the metre, four choirs) and is given, everything behind it is charged: bars and the
end, voices, lengths, places and pitches. The grid does not tell a held note from one struck again, and the events of
the benchmark (musegen/evaluate/chorales.py) can be told from the tokens and the other way round, so the sums compare.
Works of the valid and test splits must have been kept out of the model's training, as the shipped ones' were.

With --finetune each model is first fitted to the train split, in twelve keys, and measured on valid on the way; of
those averaged weights the best are the ones whose figures are printed. --untrained begins with random weights.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

import numpy as np
import torch

from musegen.corpus.shards import Piece, Split, flatten
from musegen.errors import MusegenError
from musegen.evaluate.chorales import REST, SPLITS, VOICES, Grid, read
from musegen.evaluate.likelihood import evaluate
from musegen.models import Model
from musegen.score.model import NOTE_DTYPE, Score, TimeSignature, Track, frozen
from musegen.tokens import Controls, Remi, to_grid
from musegen.train.config import TrainConfig, parse_seconds
from musegen.train.distributed import joined
from musegen.train.finetune import Best
from musegen.train.held_out import network
from musegen.train.objective import scorer
from musegen.train.state import STATE_FILE, load_state, start
from musegen.train.trainer import Habits, stopping, train

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


def fitted(model: Model, grids: dict[str, list[Grid]], seconds: float, folder: Path, *, untrained: bool) -> Model:
    """The model fitted to the train split: the averaged weights that were best on valid."""
    pieces = {split: [piece_of(grid) for grid in grids[split]] for split in ("train", "valid")}
    learned, valid = (Split(flatten(pieces[split], ["jsb"]), ("jsb",)) for split in pieces)
    config = TrainConfig(
        budget_seconds=seconds,
        batch_tokens=2048,
        context=1024,
        lr=1e-3 if untrained else 5e-4,
        final_lr=0.05,
        ema_half_life=0.03,
        from_start_share=0.7,
        short_share=0.0,
        mask_share=0.0,
        chord_share=0.0,
    )
    best = Best.of(folder)
    habits = Habits(save_seconds=300.0, measures=8, valid_pieces=len(valid))
    with joined("cpu") as place, stopping() as stop:
        weights = None if untrained else dict(model.named_parameters())
        run = (
            load_state(folder, place) if (folder / STATE_FILE).exists() else start(model.config, config, place, weights)
        )
        report = partial(print, file=sys.stderr, flush=True)
        train(run, learned, valid, folder, habits, stop=stop, report=report, after_measure=best.look)
    model.load_state_dict(best.tensors)
    return model.eval()


def main() -> int:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="Jsb16thSeparated.json, or the folder that holds it")
    parser.add_argument("--models", default="transformer,rnn", help="names or files, commas between")
    parser.add_argument("--finetune", metavar="TIME", help="fit each model to the train split first: 30m")
    parser.add_argument("--untrained", action="store_true", help="forget what each model knows before that")
    parser.add_argument("--run", type=Path, default=Path("runs/jsb"), help="folder of the fitting, resumed if stopped")
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
            if options.finetune:
                seconds, folder = parse_seconds(options.finetune), options.run / Path(name).stem
                model = fitted(model, grids, seconds, folder, untrained=options.untrained)
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
