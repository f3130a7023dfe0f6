"""How well a model does what it is asked: a Markdown table, a row a promise, a column a style.

    python scripts/controls_report.py [-m MODEL] [--count 100] [--styles folk,chorale,song,piano] [--real FOLDER...]

For each style, six sets of `--count` pieces of 16 bars: key, metre and tempo asked; the same with a strict scale and
other instruments; nothing but the style; density 1 to 10; polyphony 1 to 10; a chord progression. Piece i of set k has
the seed 10000 k + i. Of `--real` folders the held-out pieces (splits valid and test of a manifest, else all) of the
same styles are measured in the same way: their first 16 bars, if these have one key, against the key they say and the
chords that they are estimated to have; and their true endings. Figures are per cent; correlations are Spearman's rho.
The tonal key is the one that Krumhansl's profiles find in the notes.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from musegen.compose import Composer, Request, load
from musegen.compose.harmony import as_chords, parse_chords
from musegen.compose.request import STYLE_INSTRUMENTS
from musegen.corpus.chords import estimate_chords, segment
from musegen.corpus.manifest import list_pieces
from musegen.corpus.sources import source_of
from musegen.corpus.styles import style_of
from musegen.decoding.filters import SamplingOptions
from musegen.errors import MusegenError, RequestError
from musegen.evaluate.metric import mean, share
from musegen.evaluate.notes import pitched_notes
from musegen.evaluate.pitch import ends_on_tonic, in_key_rate, likeliest_key
from musegen.evaluate.texture import chord_tones, max_polyphony, polyphony
from musegen.score import timing
from musegen.score.chords import parse_symbol
from musegen.score.formats import read
from musegen.score.model import Array, Chord, Score
from musegen.score.ops import slice_bars
from musegen.score.theory import Key, key_of_pitch_class, parse_key, scale_pitch_classes
from musegen.tokens import density_of, to_grid

BARS = 16
TOGETHER = 20
"""Pieces composed in one batch."""
METRES = ((4, 4), (3, 4), (2, 4), (6, 8), (9, 8), (2, 2))
PROGRAMS = (0, 6, 24, 40, 42, 56, 68, 71, 73, 52)
KEYS = tuple(key_of_pitch_class(tonic, mode) for tonic in range(12) for mode in ("major", "minor"))
PROGRESSIONS = (
    ("C major", ("C", "Am", "F", "G7")),
    ("D minor", ("Dm", "Gm", "A7", "Dm", "Bb", "Gm A7", "Dm", "Dm")),
    ("G major", ("G", "D7/F#", "Em", "Bm", "C", "G/B", "Am7 D7", "G")),
    ("E minor", ("Em", "Am", "B7", "Em")),
)
ONE_LINE = ("folk",)
"""Styles written for one line, of which no polyphony is asked."""

REAL = ", real"
"""Ends the names of the rows of real pieces."""

Row = tuple[str, float | str]
Asked = Sequence[tuple[Request, Score]]


def requests(kind: str, style: str, count: int, guidance: float | None) -> list[Request]:
    """The requests of one set, sampled without filters, with the guidance of the style by default."""
    sampling = SamplingOptions(guidance=guidance)
    number = list(SETS).index(kind)
    made = []
    for i in range(count):
        plain = Request(bars=BARS, style=style, seed=10_000 * number + i, sampling=sampling)
        framed = replace(plain, key=KEYS[i % 24], meter=METRES[i % len(METRES)], tempo=60.0 + 5 * (i % 20))
        if kind == "strict":
            n = len(STYLE_INSTRUMENTS.get(style, (0,)))
            instruments = tuple((PROGRAMS[(i + 3 * k) % len(PROGRAMS)], False) for k in range(n))
            made.append(replace(framed, scale="strict", instruments=instruments))
        elif kind == "chords":
            key, chords = PROGRESSIONS[i % len(PROGRESSIONS)]
            made.append(replace(plain, key=parse_key(key), meter=(4, 4), chords=chords))
        elif kind in ("density", "polyphony"):
            level = 1 + i % 10
            made.append(replace(plain, density=level) if kind == "density" else replace(plain, polyphony=level))
        else:
            made.append(framed if kind == "framed" else plain)
    return made


def compose(composer: Composer, asked: Sequence[Request]) -> list[tuple[Request, Score]]:
    """The pieces asked for; one that would not end is named and left out."""
    done: list[tuple[Request, Score]] = []
    for start in range(0, len(asked), TOGETHER):
        batch = asked[start : start + TOGETHER]
        try:
            done += zip(batch, composer.compose(batch), strict=True)
        except RequestError:
            done += [(request, piece) for request in batch if (piece := alone(composer, request)) is not None]
    return done


def alone(composer: Composer, request: Request) -> Score | None:
    """The piece asked for, None if it would not end."""
    try:
        return composer.compose([request])[0]
    except RequestError as error:
        print(f"left out: {error}", file=sys.stderr)
        return None


def percent(holds: Iterable[float]) -> float:
    """100 times the mean of what is known; NaN of nothing."""
    known = [float(value) for value in holds if not math.isnan(value)]
    return 100 * sum(known) / len(known) if known else math.nan


def frame_rows(asked: Asked) -> list[Row]:
    """Metre, tempo, length and key as asked."""
    keys = [(request.key, likeliest_key(score)) for request, score in asked if request.key and score.n_notes]
    return [
        ("metre asked is the metre of every bar", percent(has_metre(r, s) for r, s in asked)),
        ("tempo asked, kept throughout", percent(has_tempo(r, s) for r, s in asked)),
        ("key asked is the tonal key", percent(found == key for key, found in keys)),
        ("key asked is the tonal key or its relative", percent(related(found, key) for key, found in keys)),
        ("key asked: notes in its scale", percent(in_scale(r, s) for r, s in asked)),
    ]


def has_metre(request: Request, score: Score) -> bool:
    """Whether all bars have the metre asked for."""
    metres = {(m.numerator, m.denominator) for m in score.time_signatures} or {(4, 4)}
    return metres == {request.meter}


def has_tempo(request: Request, score: Score) -> bool:
    """Whether the piece has the tempo asked for and no other."""
    assert request.tempo is not None
    return len(score.tempos) == 1 and abs(score.tempos[0].qpm - request.tempo) < 0.01


def related(found: Key, key: Key) -> bool:
    """Whether two keys are one or relatives: their signatures are equal but for spelling."""
    return (found.fifths - key.fifths) % 12 == 0


def in_scale(request: Request, score: Score) -> float:
    """The share of notes in the scale of the key asked for, in minor with the raised sixth and seventh."""
    assert request.key is not None
    return share(np.isin(pitched_notes(score)["pitch"] % 12, list(scale_pitch_classes(request.key))))


def strict_rows(asked: Asked) -> list[Row]:
    """What must hold always: scale, instruments."""
    return [
        ("scale strict: notes in the scale", percent(in_scale(r, s) for r, s in asked)),
        ("instruments asked are the tracks", percent(instruments(s) == r.instruments for r, s in asked)),
        ("all instruments asked play", percent(all(len(t.notes) for t in s.tracks) for _, s in asked)),
    ]


def instruments(score: Score) -> tuple[tuple[int, bool], ...]:
    """(program, is_drum) of each track."""
    return tuple((track.program, track.is_drum) for track in score.tracks)


def free_rows(asked: Asked) -> list[Row]:
    """What the model chooses itself."""
    return [*key_rows([score for _, score in asked]), *ending_rows([score for _, score in asked])]


def key_rows(scores: Sequence[Score]) -> list[Row]:
    """Whether the key that the file says is the one that its notes suggest."""
    said = [(Key.from_signature(s.key_signatures[0]), likeliest_key(s)) for s in scores if s.key_signatures]
    return [
        ("key said is the tonal key", percent(found == key for key, found in said)),
        ("key said is the tonal key or its relative", percent(related(found, key) for key, found in said)),
        ("key said: notes in its scale", percent(in_key_rate(score) for score in scores)),
    ]


def ending_rows(scores: Sequence[Score]) -> list[Row]:
    """Whether a piece ends at home."""
    return [
        ("ends on the tonic: bass", percent(ends_on_tonic(score) for score in scores)),
        ("ends on the tonic: melody", percent(melody_ends_on_tonic(score) for score in scores)),
    ]


def melody_ends_on_tonic(score: Score) -> float:
    """1 if the highest note at the last onset is the tonic of the key said there, else 0; NaN without key."""
    notes = pitched_notes(score)
    key = timing.key_at(score, int(notes["start"][-1])) if len(notes) else None
    return math.nan if key is None else float(notes["pitch"][-1] % 12 == Key.from_signature(key).tonic_pc)


def density_rows(asked: Asked) -> list[Row]:
    """Density asked against density got, in classes."""
    pairs = [(r.density or 0, density_of(s)) for r, s in asked]
    return [
        ("density asked and got, correlation", two_places(spearman(pairs))),
        ("density asked and got, classes apart on the mean", two_places(mean(np.abs(np.diff(pairs))))),
    ]


def polyphony_rows(asked: Asked) -> list[Row]:
    """Polyphony asked against the mean number of notes at once; never more than asked."""
    pairs = [(r.polyphony or 0, polyphony(s)) for r, s in asked if s.n_notes]
    most = [max_polyphony(s) <= (r.polyphony or 0) for r, s in asked if s.n_notes]
    return [
        ("polyphony asked and mean got, correlation", two_places(spearman(pairs))),
        ("polyphony never above what was asked", percent(most)),
    ]


def two_places(value: float) -> str:
    """A figure that is no percentage."""
    return "–" if math.isnan(value) else f"{value:.2f}"


def spearman(pairs: Sequence[tuple[float, float]]) -> float:
    """The rank correlation of pairs, equal values at their mean rank; NaN where one side does not vary."""
    if not pairs:
        return math.nan
    ranks = np.array([mean_ranks(side) for side in np.reshape(pairs, (-1, 2)).T])
    return float(np.corrcoef(ranks)[0, 1]) if np.ptp(ranks, axis=1).all() else math.nan


def mean_ranks(values: Array) -> Array:
    """(n,) the rank of each value."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[place])


def chord_rows(asked: Asked) -> list[Row]:
    """How the notes fit the chords asked for."""
    fits = []
    for request, score in asked:
        metres = to_grid(score.with_tracks(()), BARS).metres
        rows = parse_chords(request.chords).over(0, metres)
        fits.append(fit(score, as_chords(rows, timing.bar_starts(score, BARS), score.ticks_per_beat)))
    return fit_rows(fits)


def fit_rows(fits: Sequence[Array]) -> list[Row]:
    """Shares of the beats of all pieces in which all or most of what sounds belongs to the chord."""
    inside = np.concatenate([np.zeros(0), *fits])
    return [
        ("chords: beats all of whose notes fit", percent(inside > 1 - 1e-6)),
        ("chords: beats most of whose notes fit", percent(inside > 0.5)),
    ]


def fit(score: Score, chords: Sequence[Chord]) -> Array:
    """(n,) for each beat with notes and a chord, the weight of the chord's tones among what sounds in it."""
    segments = segment(score)
    if segments is None or not chords:
        return np.zeros(0)
    at = np.searchsorted([chord.time for chord in chords], segments.starts[:-1], side="right") - 1
    tones = [chord_tones(parse_symbol(chord.symbol)) for chord in chords]
    masks = np.array([[pitch in row for pitch in range(12)] for row in tones])[np.maximum(at, 0)]
    chroma = np.roll(segments.chroma, segments.origin % 12, axis=1)
    counted = (chroma.sum(axis=1) > 0) & masks.any(axis=1) & (at >= 0)
    return np.asarray(((chroma * masks).sum(axis=1)[counted]) / chroma.sum(axis=1)[counted])


SETS: dict[str, Callable[[Asked], list[Row]]] = {
    "framed": frame_rows,
    "strict": strict_rows,
    "free": free_rows,
    "density": density_rows,
    "polyphony": polyphony_rows,
    "chords": chord_rows,
}
"""The rows that each set of pieces gives."""


def real_pieces(folders: Sequence[Path], styles: Sequence[str], count: int) -> dict[str, list[Score]]:
    """At most `count` held-out pieces of each style, of BARS bars and more, with one key in the first of them."""
    found: dict[str, list[Score]] = {style: [] for style in styles}
    rows = [row for folder in folders for row in list_pieces(folder) if row.split != "train"]
    random.Random(0).shuffle(rows)
    for row in rows:
        if "duplicate" in row.tags:
            continue
        try:
            score = read(row.file, warn=lambda _: None)
        except MusegenError as error:
            print(f"left out: {error}", file=sys.stderr)
            continue
        style = source_of(row.source).style or style_of(score, row.tags)
        if len(found.get(style, range(count))) < count and timing.n_bars(score) >= BARS and keys_said(score) == 1:
            found[style].append(score)
    return found


def keys_said(score: Score) -> int:
    """How many keys the first BARS bars have, if the first is said at their beginning."""
    end = timing.bar_starts(score, BARS)[-1]
    inside = [key for key in score.key_signatures if key.time < end]
    return len({(key.fifths, key.mode) for key in inside}) if inside and inside[0].time == 0 else 0


def real_rows(pieces: Sequence[Score]) -> list[Row]:
    """The rows of real pieces."""
    openings = [slice_bars(piece, 0, BARS) for piece in pieces]
    openings = [opening for opening in openings if len(pitched_notes(opening))]
    fits = [fit(opening, estimate_chords(opening)) for opening in openings]
    rows = [*key_rows(openings), *ending_rows(pieces), *fit_rows(fits)]
    return [(name + REAL, value) for name, value in [("pieces", str(len(pieces))), *rows]]


def written_rows(composer: Composer, style: str, count: int, guidance: float | None) -> list[Row]:
    """All rows of one style that need the model."""
    rows: list[Row] = []
    pieces: list[Score] = []
    for kind, measure in SETS.items():
        since = time.monotonic()
        is_idle = kind == "polyphony" and style in ONE_LINE
        asked = [] if is_idle else compose(composer, requests(kind, style, count, guidance))
        print(f"{style}, {kind}: {len(asked)} pieces, {time.monotonic() - since:.0f} s", file=sys.stderr)
        rows += measure(asked)
        pieces += [score for _, score in asked]
    exact = [score.end == timing.bar_starts(score, BARS)[-1] for score in pieces]
    return [("pieces", str(len(pieces))), (f"{BARS} bars exactly", percent(exact)), *rows]


def markdown(columns: dict[str, list[Row]]) -> str:
    """One row a name, in the order in which they come up, each followed by that of real pieces."""
    cells: dict[str, dict[str, str]] = {}
    for style, rows in columns.items():
        for name, value in rows:
            text = value if isinstance(value, str) else "–" if math.isnan(value) else f"{value:.1f}"
            cells.setdefault(name, {})[style] = text
    names = [name + end for name in cells if not name.endswith(REAL) for end in ("", REAL) if name + end in cells]
    lines = [f"| | {' | '.join(columns)} |", f"|---|{'---:|' * len(columns)}"]
    lines += [f"| {name} | {' | '.join(cells[name].get(style, '–') for style in columns)} |" for name in names]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Compose, measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-m", "--model", default="transformer")
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--styles", default="folk,chorale,song,piano")
    parser.add_argument("--real", nargs="*", type=Path, default=[], metavar="FOLDER")
    parser.add_argument("--guidance", type=float, help="(default: that of the command line)")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    composer = load(options.model, threads=options.threads)
    styles = options.styles.split(",")
    columns = {style: written_rows(composer, style, options.count, options.guidance) for style in styles}
    if options.real:
        for style, pieces in real_pieces(options.real, styles, options.count).items():
            columns[style] += real_rows(pieces)
    print(markdown(columns))


if __name__ == "__main__":
    main()
