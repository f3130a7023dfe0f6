"""What a model gains from both sides of a gap: nats a note of true bars, given what is around them.

    python scripts/infill_report.py [-m MODEL] [--split valid,test] [--bars 4] [--pieces 40] FOLDER|SHARDS...

Of each piece the `--bars` bars in its middle are scored three times, every time in the model's own language and charged
for the notes and their layout, not for the head (style, key, metre, tempo, number of bars, instruments) and not for
changes of metre, key or tempo:

- left: in plain order, given the bars before them;
- both sides: taken out and written at the end, given the same bars before them and as many of those behind as fit;
- each track: one track after the other taken out and written at the end, given both sides and the other tracks.

All three see the same bars: as many on both sides as let the longest of their sequences fit the context. No chords are
said. Pieces with fewer than three times as many bars, or whose gap is silent or does not fit, are left out and counted.

Then `--files` files of the folders are filled in (bars and seed drawn for each) and compared with what they were: all
but the notes that begin in the gap (and how keys are released after its beginning) must be equal to the bit.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from musegen.compose import Composer, Request, load
from musegen.corpus.manifest import list_pieces
from musegen.corpus.shards import INFO_FILE, Piece
from musegen.errors import MusegenError, RequestError
from musegen.evaluate.likelihood import Array, Scorer
from musegen.score import timing
from musegen.score.formats import read
from musegen.score.formats.parts import MADE
from musegen.score.model import Score, Track
from musegen.tokens import VOCABULARY, Controls, Grid, Remi
from musegen.train.examples import Source
from musegen.train.held_out import gather, network
from musegen.train.objective import scorer

TOKENIZER = Remi()
FRAMES = tuple(VOCABULARY.type_index[name] for name in ("Metre", "Tempo", "Key"))


@dataclass(frozen=True, eq=False)
class Task:
    """ids (T,), which of them are charged (T,) of bool, and for which row and figure."""

    ids: Array
    charged: Array
    row: int
    figure: str


@dataclass(frozen=True, eq=False)
class Gap:
    """A window of a piece and, in it, the bars `first` to `last` - 1 that are scored.

    `grid` is the window's, with one bar more behind it if the piece has one, so that the end of the last bar is told;
    `total` is how many bars the piece has from the window's first on.
    """

    grid: Grid
    n_bars: int
    total: int
    first: int
    last: int
    style: str | None

    @property
    def n_notes(self) -> int:
        """How many notes are scored."""
        return int(self._inside(self.grid.notes["bar"]).sum())

    @property
    def tracks(self) -> list[int]:
        """The tracks that have some of them."""
        inside = self._inside(self.grid.notes["bar"])
        return [int(track) for track in np.unique(self.grid.notes["track"][inside])]

    def _inside(self, bars: Array) -> Array:
        return np.asarray((bars >= self.first) & (bars < self.last))

    def plain(self) -> tuple[Array, Array]:
        """Ids and what is charged of them, given the left alone."""
        end = min(self.last + 1, len(self.grid.metres))
        part = self.grid.slice_bars(0, end)
        ids = TOKENIZER.encode_grid(part, Controls(self.style), bars=self.total, ends=end == self.total)
        edges = [*TOKENIZER.bar_offsets(ids).tolist(), len(ids) - 1]
        at = np.arange(len(ids))
        charged = (at > edges[self.first]) & (at <= edges[self.last])
        return ids, charged & ~np.isin(VOCABULARY.types[ids], FRAMES)

    def filled(self, tracks: Sequence[int]) -> tuple[Array, Array]:
        """Ids and what is charged of them, with these tracks taken out."""
        part = self.grid.slice_bars(0, self.n_bars)
        cells = np.zeros((len(part.programs), self.n_bars), np.bool_)
        cells[list(tracks), self.first : self.last] = True
        ids = TOKENIZER.encode_grid(part, Controls(self.style), bars=self.total, masked=cells)
        begins = int(np.flatnonzero(ids == VOCABULARY.id("FILL"))[0]) + 1  # the first Bar, which FILL settles
        return ids, np.arange(len(ids)) > begins


def gap_of(piece: Piece, bars: int, context: int) -> Gap | None:
    """The bars in the middle of a piece with as much around them as fits the context; None where there is no such."""
    source = Source.of(piece)
    grid = source.grid.without_chords()
    n = len(grid.metres)
    first = (n - bars) // 2
    if n < 3 * bars:
        return None
    least, most = 0, n  # so many bars on both sides fit, so many do not
    found = None
    while most - least > 1:
        around = (least + most) // 2
        left, right = max(0, first - around), min(n, first + bars + around)
        seen = grid.slice_bars(left, min(n, right + 1))
        gap = Gap(seen, right - left, n - left, first - left, first + bars - left, source.style)
        if not gap.n_notes:
            return None
        if longest(gap) <= context:
            least, found = around, gap
        else:
            most = around
    return found


def longest(gap: Gap) -> int:
    """How many tokens the longest sequence of a gap has."""
    every = range(len(gap.grid.programs))
    sequences = [gap.plain(), gap.filled(every), *(gap.filled([track]) for track in gap.tracks)]
    return max(len(ids) for ids, _ in sequences)


def tasks_of(gap: Gap, row: int) -> Iterator[Task]:
    """All that is scored of a gap."""
    yield Task(*gap.plain(), row, "left")
    yield Task(*gap.filled(range(len(gap.grid.programs))), row, "both sides")
    if len(gap.tracks) > 1:
        for track in gap.tracks:
            yield Task(*gap.filled([track]), row, "each track")


def score(tasks: Sequence[Task], measure: Scorer) -> Array:
    """(tasks,) nats of what is charged."""
    losses = measure([(task.ids, TOKENIZER.attributes(task.ids)) for task in tasks])
    charged = zip(tasks, losses, strict=True)
    return np.array([float(nats[task.charged[1:]].sum(dtype=np.float64)) for task, nats in charged])


def chosen(pieces: Sequence[Piece], most: int) -> dict[str, list[Piece]]:
    """At most so many pieces of each source, evenly over it."""
    by_source: defaultdict[str, list[Piece]] = defaultdict(list)
    for piece in pieces:
        by_source[piece.source].append(piece)
    return {
        name: [group[round(at)] for at in np.linspace(0, len(group) - 1, min(most, len(group)))]
        for name, group in by_source.items()
    }


def lines(split: str, pieces: Sequence[Piece], options: argparse.Namespace, measure: Scorer) -> Iterator[str]:
    """The rows of a split, a source each."""
    for name, group in chosen(pieces, options.pieces).items():
        gaps = [gap for piece in group if (gap := gap_of(piece, options.bars, options.context)) is not None]
        if not gaps:
            print(f"{split}, {name}: no piece has such a gap", file=sys.stderr)
            continue
        tasks = [task for row, gap in enumerate(gaps) for task in tasks_of(gap, row)]
        nats = score(tasks, measure)
        notes = np.array([gap.n_notes for gap in gaps])
        by_figure = {figure: np.zeros(len(gaps)) for figure in ("left", "both sides", "each track")}
        for task, value in zip(tasks, nats, strict=True):
            by_figure[task.figure][task.row] += value
        left, both, each = by_figure.values()
        several = each > 0
        yield " | ".join([
            f"| {split} | {name} | {len(gaps)} | {len(group) - len(gaps)} | {notes.sum()}",
            f"{left.sum() / notes.sum():.3f}",
            f"{both.sum() / notes.sum():.3f}",
            f"{100 * (1 - both.sum() / left.sum()):.1f}",
            f"{100 * np.mean(both < left):.0f}",
            f"{each.sum() / notes[several].sum():.3f} |" if several.any() else "– |",
        ])  # fmt: skip


def files_of(paths: Sequence[Path], splits: Sequence[str], most: int) -> list[Path]:
    """So many held-out files of the folders, drawn with a fixed seed."""
    folders = [path for path in paths if not (path / INFO_FILE).is_file()]
    rows = [row for folder in folders for row in list_pieces(folder) if row.split in (*splits, "")]
    return [row.file for row in random.Random(0).sample(rows, min(most, len(rows)))]


def untouched(composer: Composer, files: Sequence[Path], bars: int) -> str:
    """Fill every file in and say of how many all that should stand stands."""
    same, refused = [], 0
    for seed, file in enumerate(files):
        try:
            piece = read(file, warn=lambda _: None)
            n = timing.n_bars(piece)
            first = random.Random(seed).randint(1, max(1, n - bars + 1))
            span = (first, min(n, first + bars - 1))
            result = composer.compose([Request(prompt=piece, infill=span, seed=seed)])[0]
        except MusegenError as error:
            refused += 1
            print(f"{file}: {error}", file=sys.stderr)
            continue
        lines = timing.bar_starts(piece, n)
        same.append(stands(piece, result, int(lines[span[0] - 1]), int(lines[span[1]])))
        if not same[-1]:
            print(f"{file}: bars {span}, seed {seed}: changed outside", file=sys.stderr)
    return f"Untouched outside the gap: {sum(same)} of {len(same)} files ({refused} refused)."


def stands(before: Score, after: Score, start: int, stop: int) -> bool:
    """Whether all but what begins from tick `start` to `stop` (excluded) is equal, and nothing new outlasts `stop`."""

    def without(track: Track) -> Track:
        begins = track.notes["start"]
        notes = track.notes[(begins < start) | (begins >= stop)]
        return replace(track, notes=notes, releases=track.releases[track.releases["time"] <= start])

    def frame(piece: Score) -> Score:
        texts = tuple(text for text in piece.texts if not text.text.startswith(MADE))
        return replace(piece, tracks=tuple(without(t) for t in piece.tracks), chords=(), texts=texts, end=before.end)

    new = [t.notes[(t.notes["start"] >= start) & (t.notes["start"] < stop)] for t in after.tracks]
    ends = [int((notes["start"] + notes["duration"]).max(initial=0)) for notes in new]
    return frame(before) == frame(after) and max(ends, default=0) <= stop


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, then the line on what is untouched."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("-m", "--model", default="transformer")
    parser.add_argument("--split", default="valid,test")
    parser.add_argument("--bars", type=int, default=4)
    parser.add_argument("--pieces", type=int, default=40, help="of each source and split")
    parser.add_argument("--files", type=int, default=100, help="filled in and compared")
    parser.add_argument("--context", type=int, help="tokens (default: the model's)")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    composer = load(options.model, threads=options.threads)
    model = network(options.model)
    options.context = min(options.context or model.config.context, model.config.context)
    splits = options.split.split(",")
    print(
        "| split | source | gaps | left out | notes | left | both sides | saved, % | better, % of gaps | each track |"
    )
    print("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for split in splits:
        try:
            held_out = gather(options.paths, split)
        except RequestError as error:
            print(f"{split}: {error}", file=sys.stderr)
            continue
        for line in lines(split, held_out.pieces, options, scorer(model)):
            print(line, flush=True)
    files = files_of(options.paths, splits, options.files)
    print(f"\n{untouched(composer, files, options.bars)}")


if __name__ == "__main__":
    main()
