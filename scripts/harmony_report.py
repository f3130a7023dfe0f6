"""Voice leading of a model's settings of hymn tunes, beside the hymns' own settings and Bach's chorales.

    python scripts/harmony_report.py [-m MODEL] [--count 50] HYMNS_FOLDER BACH_FOLDER

The tunes are the highest voices of hymns in four voices: of a manifest's valid and test splits, else of all files. The
model writes the three voices below in the styles of `--styles`; hymn i has the seed i. Every setting is measured by
musegen.evaluate.voices: parallels in 100 changes of the sonority; crossings, and more than an octave between upper
voices, in 100 sonorities; leaps over an octave in 100 melodic intervals; notes out of their voice's range in 100 notes.
Figures are means over the pieces. Bach's chorales are all four-voice pieces of the folder.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from musegen.compose import Composer, Request, load
from musegen.corpus.manifest import list_pieces
from musegen.decoding.filters import SamplingOptions
from musegen.errors import MusegenError
from musegen.evaluate.voices import METRICS, validate
from musegen.score.formats import read
from musegen.score.model import Score

COLUMNS = {
    "parallel_fifths": ("parallel fifths", 1),
    "parallel_octaves": ("parallel octaves", 1),
    "voice_crossing_rate": ("crossings", 100),
    "wide_spacing_rate": ("wide spacing", 100),
    "wide_leap_rate": ("wide leaps", 100),
    "out_of_range_rate": ("out of range", 100),
}
"""What a metric is called here, and what makes it one in a hundred."""


def in_four_voices(score: Score) -> bool:
    """Whether voice leading can be told."""
    try:
        validate(score)
    except MusegenError:
        return False
    return True


def pieces_of(folder: Path, *, held_out: bool) -> Iterator[Score]:
    """The four-voice pieces of a folder, in an order drawn with a fixed seed."""
    rows = [row for row in list_pieces(folder) if not (held_out and row.split == "train")]
    random.Random(0).shuffle(rows)
    for row in rows:
        try:
            score = read(row.file, warn=lambda _: None)
        except MusegenError as error:
            print(f"{row.file}: {error}", file=sys.stderr)
            continue
        if "duplicate" not in row.tags and in_four_voices(score):
            yield score


def melody_of(score: Score) -> int:
    """The track that is highest on average."""
    return max(range(len(score.tracks)), key=lambda k: mean_pitch(score, k))


def mean_pitch(score: Score, track: int) -> float:
    """Of a track; below all others if it has none."""
    notes = score.tracks[track].notes
    return float(notes["pitch"].mean()) if len(notes) and not score.tracks[track].is_drum else -1.0


def settings(composer: Composer, hymns: Sequence[Score], style: str, guidance: float | None) -> Iterator[Score | None]:
    """The model's setting of each tune; None where it gave none.

    Raises:
        RuntimeError: if a setting changed its tune.
    """
    sampling = SamplingOptions(guidance=guidance)
    for seed, hymn in enumerate(hymns):
        tune = melody_of(hymn)
        request = Request(prompt=hymn, harmonize=(tune,), style=style, seed=seed, sampling=sampling)
        try:
            setting = composer.compose([request])[0]
        except MusegenError as error:
            print(f"{hymn.title}: {error}", file=sys.stderr)
            yield None
            continue
        if not np.array_equal(setting.tracks[0].notes, hymn.tracks[tune].notes):
            raise RuntimeError(f"{hymn.title}: the tune was changed")
        yield setting


def line(name: str, scores: Sequence[Score | None]) -> str:
    """One row of the table: how many pieces, how many of them in four voices, and the means."""
    usable = [score for score in scores if score is not None and in_four_voices(score)]
    cells = []
    for metric, (_, unit) in COLUMNS.items():
        values = np.array([unit * METRICS[metric](score) for score in usable])
        known = values[~np.isnan(values)]
        cells.append(f"{known.mean():.2f}" if len(known) else "–")
    return f"| {name} | {len(scores)} | {len(usable)} | {' | '.join(cells)} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("hymns", type=Path)
    parser.add_argument("bach", type=Path)
    parser.add_argument("-m", "--model", default="transformer")
    parser.add_argument("--count", type=int, default=50)
    parser.add_argument("--styles", default="hymn,chorale")
    parser.add_argument("--guidance", type=float, help="(default: that of the command line)")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    composer = load(options.model, threads=options.threads)
    hymns = list(pieces_of(options.hymns, held_out=True))[: options.count]
    print(f"| | pieces | in four voices | {' | '.join(title for title, _ in COLUMNS.values())} |")
    print(f"|---|---:|---:|{'---:|' * len(COLUMNS)}")
    print(line("the hymns' own settings", hymns))
    print(line("Bach's chorales", list(pieces_of(options.bach, held_out=False))), flush=True)
    for style in options.styles.split(","):
        print(line(f"musegen, style {style}", list(settings(composer, hymns, style, options.guidance))), flush=True)


if __name__ == "__main__":
    main()
