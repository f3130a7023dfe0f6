"""How right the chords of musegen.corpus.chords are, beside simple rules, for folders with labelled chords.

python scripts/chords_report.py FOLDER... [--splits valid,test] [--analyses] [--chorder]

Each folder holds a manifest.csv; a track named "Chords" of a piece bears the labels as texts, and is taken out of what
is heard. --analyses adds what music21's own corpus has of Bach chorales and Monteverdi madrigals with Roman numerals.
--chorder adds chorder's Dechorder (`pip install chorder`). Prints a Markdown table: of the time that the labels cover,
the share with the right root, with the right root and third (labels that are neither major nor minor are left out, as
mir_eval's `majmin` does) and with the right root and quality (as the vocabulary writes them). Pieces and notes are
those in a second of one processor.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from musegen.corpus.chords import chord_scores, estimate_chords, key_belief, name_chords, segment
from musegen.corpus.manifest import list_pieces
from musegen.score.formats import read, write
from musegen.score.model import Array, Chord, Score
from musegen.tokens.harmony import chord_symbol, parse_chord
from musegen.tokens.vocabulary import NO_CHORD, PITCH_CLASSES, QUALITIES

UNKNOWN = -1
"""A label that the vocabulary has no word for: its time is left out."""

MAJOR, MINOR = ("", "7", "maj7", "6"), ("m", "m7", "m6", "mmaj7")

Estimate = Callable[[Score], Sequence[Chord]]


@dataclass(frozen=True)
class Piece:
    """What is heard, the labels as (tick, Chord value or UNKNOWN), and the tick at which the last one ends."""

    score: Score
    labels: tuple[tuple[int, int], ...]
    end: int


def labelled(folder: Path, splits: Sequence[str]) -> Iterator[Piece]:
    """The pieces of the splits that have labels."""
    for row in list_pieces(folder):
        if row.split not in splits:
            continue
        score = read(row.file, warn=lambda _: None)
        texts = [text for track in score.tracks if track.name == "Chords" for text in track.texts]
        labels = tuple(sorted((text.time, value_of(text.text)) for text in texts))
        if labels:
            heard = score.with_tracks(track for track in score.tracks if track.name != "Chords")
            yield Piece(heard, labels, score.notes_end)


def value_of(text: str) -> int:
    """The Chord value of a label: "B:maj/3", "Bb7", or music21's "B-7" and "C7 alter b5"."""
    plain = re.sub(r"^([A-G])(-+)", lambda found: found[1] + "b" * len(found[2]), text.strip())
    plain = re.split(r"[/ ]", plain.replace("(b7)", ""))[0]
    word = parse_chord(plain)
    return UNKNOWN if word is None else word[0]


def analysed(composer: str) -> Iterator[Piece]:
    """music21's "bach" or "monteverdi" with Roman numerals, where score and analysis are of one length."""
    import music21
    from music21.roman import RomanNumeral

    root = Path(music21.__file__).parent / "corpus" / composer
    for path in sorted(root.rglob("*.rntxt")):
        number = re.search(r"^BWV:? *(\S+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        music = root / f"bwv{number[1]}.mxl" if composer == "bach" and number else path.with_suffix(".mxl")
        if not music.exists():
            continue
        score, analysis = read(music, warn=lambda _: None), music21.converter.parse(path)
        end = round(analysis.highestTime * score.ticks_per_beat)
        if abs(end - score.end) > 4 * score.ticks_per_beat:  # a repeat written out in one of them, most often
            continue
        numerals = analysis.flatten().getElementsByClass(RomanNumeral)
        labels = [(round(float(n.offset) * score.ticks_per_beat), numeral_value(n)) for n in numerals]
        yield Piece(score, tuple(labels), min(end, score.end))


def numeral_value(numeral: Any) -> int:
    """The Chord value of a Roman numeral: the largest chord among its tones; UNKNOWN if there is none."""
    root = numeral.root().pitchClass
    tones = {(pitch.pitchClass - root) % 12 for pitch in numeral.pitches}
    for third, fifth, rest, quality in (
        (4, 7, 10, "7"), (4, 7, 11, "maj7"), (3, 7, 10, "m7"), (3, 7, 11, "mmaj7"), (3, 6, 9, "dim7"),
        (3, 6, 10, "m7b5"), (4, 7, 0, ""), (3, 7, 0, "m"), (3, 6, 0, "dim"), (4, 8, 0, "aug"), (5, 7, 0, "sus4"),
    ):  # fmt: skip
        if {0, third, fifth, rest} <= tones:
            return int(1 + len(QUALITIES) * root + QUALITIES.index(quality))
    return UNKNOWN


def beats_alone(score: Score) -> Sequence[Chord]:
    """The best chord of each beat, whatever stands beside it."""
    segments = segment(score)
    return () if segments is None else name_chords(segments, chord_scores(segments).argmax(1))


def tonic(score: Score) -> Sequence[Chord]:
    """The tonic chord of the piece's key throughout."""
    segments = segment(score)
    if segments is None:
        return ()
    mode, degree = divmod(int(key_belief(segments).sum(0).argmax()), 12)
    return (Chord(0, PITCH_CLASSES[(degree + segments.origin) % 12] + "m" * mode),)


def by_chorder(score: Score) -> Sequence[Chord]:
    """Chorder's estimate, one a quarter."""
    from chorder import Dechorder  # type: ignore[import-not-found]
    from miditoolkit import MidiFile

    with TemporaryDirectory() as folder:
        write(score, Path(folder) / "piece.mid")
        found = Dechorder.dechord(MidiFile(str(Path(folder) / "piece.mid")))
    names = {"M": "", "m": "m", "o": "dim", "+": "aug", "M7": "maj7", "o7": "dim7", "/o7": "m7b5"}
    symbols = [
        chord_symbol(NO_CHORD) if c.root_pc is None else PITCH_CLASSES[c.root_pc] + names.get(c.quality, c.quality)
        for c in found
    ]
    return [Chord(beat * score.ticks_per_beat, symbol) for beat, symbol in enumerate(symbols)]


SYSTEMS: dict[str, Estimate] = {
    "musegen": estimate_chords,
    "musegen, beats alone": beats_alone,
    "always the tonic chord": tonic,
}


def agreement(piece: Piece, chords: Sequence[Chord]) -> Array:
    """(3, 2) beats that are right and beats that count, for root, major or minor, and quality."""
    said = [(chord.time, (parse_chord(chord.symbol) or (UNKNOWN,))[0]) for chord in chords] or [(0, NO_CHORD)]
    borders = np.unique([tick for tick, _ in (*piece.labels, *said) if tick < piece.end] + [piece.end])
    borders = borders[borders >= piece.labels[0][0]]
    truth, guess = (in_force(rows, borders[:-1]) for rows in (piece.labels, said))
    beats = np.diff(borders) / piece.score.ticks_per_beat * (truth != UNKNOWN)
    triad = third(truth)
    right = np.stack([root(truth) == root(guess), triad == third(guess), truth == guess])
    right[1] &= right[0]
    counted = np.stack([beats, beats * (triad >= 0), beats])
    return np.stack([(right * counted).sum(1), counted.sum(1)], axis=1)


def in_force(rows: Sequence[tuple[int, int]], ticks: Array) -> Array:
    """The value in force at each tick; UNKNOWN before the first."""
    at = np.searchsorted([tick for tick, _ in rows], ticks, side="right")
    return np.array([UNKNOWN, *(value for _, value in rows)])[at]


def root(values: Array) -> Array:
    """Pitch classes of Chord values; below 0 where there is no chord."""
    return np.asarray((values - 1) // len(QUALITIES))


def third(values: Array) -> Array:
    """1 for major, 2 for minor, 0 for no chord, -1 for all else."""
    kinds = np.array([1 if q in MAJOR else 2 if q in MINOR else -1 for q in QUALITIES])
    return np.where(values == NO_CHORD, 0, kinds[(values - 1) % len(QUALITIES)])


def lines(name: str, pieces: Sequence[Piece], systems: dict[str, Estimate]) -> Iterator[str]:
    """The rows of one set of pieces."""
    notes = sum(piece.score.n_notes for piece in pieces)
    for system, estimate in systems.items():
        total, spent = np.zeros((3, 2)), 0.0
        for piece in pieces:
            since = time.process_time()
            chords = estimate(piece.score)
            spent += time.process_time() - since
            total += agreement(piece, chords)
        cells = " | ".join(f"{100 * right / counted:.1f}" for right, counted in total)
        yield f"| {name} | {len(pieces)} | {system} | {cells} | {len(pieces) / spent:.0f} | {notes / spent:,.0f} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--splits", default="valid,test")
    parser.add_argument("--analyses", action="store_true")
    parser.add_argument("--chorder", action="store_true")
    options = parser.parse_args()
    systems = SYSTEMS | ({"chorder": by_chorder} if options.chorder else {})
    splits = options.splits.split(",")
    sets = [(folder.name, labelled(folder, splits)) for folder in options.folders]
    if options.analyses:
        sets += [(composer, analysed(composer)) for composer in ("bach", "monteverdi")]
    print("| source | pieces | chords by | root | major or minor | quality | pieces/s | notes/s |")
    print("|---|---:|---|---:|---:|---:|---:|---:|")
    for name, pieces in sets:
        for line in lines(name, list(pieces), systems):
            print(line, flush=True)


if __name__ == "__main__":
    main()
