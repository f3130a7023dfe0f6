"""What a piano roll keeps of music, for each folder of MIDI files.

    python scripts/roll_report.py FOLDER... [--files N] [--parts 4]

Every piece is placed on the grid of rolls, drawn as cells, and read from the cells again. Two Markdown tables go to
stdout: how many notes come back, and how far they moved; and why what is lost or moved is.

A note is kept if a note of its part and pitch (in the octave that the roll has) begins within half a step of it and
stands for no other; of doubles the longest is kept. What moved by a tick or less did not move: notation programs end
notes a tick early. A note's end is cut if the next note of its part and pitch begins before it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt

from musegen import conditions, roll
from musegen.errors import RequestError
from musegen.score import timing
from musegen.score.formats import read
from musegen.score.model import Array, Score

Times = npt.NDArray[np.float64]
"""In quarters from the beginning."""

GRIDS = {"triplets": (3, 6, 12), "32nds and shorter": (8, 16)}
"""Steps a quarter on which an onset off the sixteenths may stand; on none of them, it was played, not written."""


@dataclass
class Tally:
    """What became of the notes of some pieces; shifts in quarters, of all kept notes."""

    pieces: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    crowded: int = 0
    bars: int = 0
    odd_bars: int = 0
    notes: int = 0
    percussion: int = 0
    folded: int = 0
    doubled: int = 0
    lost: int = 0
    cut: int = 0
    stretched: int = 0
    where: Counter[str] = field(default_factory=Counter)
    onsets: list[Times] = field(default_factory=list)
    ends: list[Times] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Sounding:
    """Notes of one part: pitch, first step, start and end in quarters, sorted by pitch and step."""

    pitch: Array
    step: Array
    start: Times
    end: Times

    @classmethod
    def of(cls, pitch: Array, step: Array, start: Times, end: Times) -> Sounding:
        """Sorted; of those that fall together the longest first, as a roll keeps it."""
        order = np.lexsort((start - end, step, pitch))
        return cls(pitch[order], step[order], start[order], end[order])


def sources(score: Score, placed: roll.Placed, tracks: list[int]) -> Sounding:
    """The notes of some tracks, in the octave that a roll has, and on its steps."""
    notes = np.concatenate([score.tracks[k].notes for k in tracks])
    start, end = notes["start"], notes["start"] + notes["duration"]
    lines = timing.bar_starts(score, len(placed.starts) - 1)
    step = roll.nearest_steps(start, lines, placed.starts, roll.STEPS_PER_QUARTER / score.ticks_per_beat)
    step = np.minimum(step, placed.starts[-1] - 1)
    pitch = roll.folded(notes["pitch"].astype(np.int64))
    return Sounding.of(pitch, step, start / score.ticks_per_beat, end / score.ticks_per_beat)


def shown(score: Score, placed: roll.Placed, part: int, n_parts: int) -> Sounding:
    """The notes of a part as the cells of the whole piece say them."""
    states = roll.rasterise(placed.notes, 0, int(placed.starts[-1]), n_parts)
    notes = roll.notes_of(states[part : part + 1])
    lines = timing.bar_starts(score, len(placed.starts) - 1) / score.ticks_per_beat

    def quarters(steps: Array) -> Times:
        bars = np.minimum(np.searchsorted(placed.starts, steps, side="right") - 1, len(lines) - 1)
        return np.asarray(lines[bars] + (steps - placed.starts[bars]) / roll.STEPS_PER_QUARTER)

    step = notes["step"]
    return Sounding.of(notes["pitch"].astype(np.int64), step, quarters(step), quarters(step + notes["length"]))


def compare(wanted: Sounding, found: Sounding, a_tick: float, tally: Tally) -> None:
    """Find each note of a part again, and count what became of it."""
    half = 0.5 / roll.STEPS_PER_QUARTER + 1e-6
    names, places = wanted.pitch << 32 | wanted.step, found.pitch << 32 | found.step
    at = np.minimum(np.searchsorted(places, names), len(places) - 1)
    near = (places[at] == names) & (np.abs(found.start[at] - wanted.start) <= half)
    first = np.append(True, names[1:] != names[:-1])
    kept = near & first
    tally.lost += int((~near).sum())
    tally.doubled += int((near & ~first).sum())
    match = at[kept]
    onsets, ends = found.start[match] - wanted.start[kept], found.end[match] - wanted.end[kept]
    tally.onsets.append(np.where(np.abs(onsets) <= a_tick, 0, onsets))
    tally.ends.append(np.where(np.abs(ends) <= a_tick, 0, ends))
    follows = np.append((found.pitch[1:] == found.pitch[:-1]) & (found.start[1:] <= found.end[:-1] + 1e-6), False)
    tally.cut += int((follows[match] & (ends < -half)).sum())
    tally.stretched += int((ends > half).sum())
    for name in where(wanted.start[kept][np.abs(onsets) > a_tick], a_tick):
        tally.where[name] += 1


def where(starts: Times, a_tick: float) -> Iterator[str]:
    """On which grid each onset stands that moved."""
    for start in starts.tolist():
        fits = (
            name for name, grids in GRIDS.items() if any(abs(start * g - round(start * g)) / g <= a_tick for g in grids)
        )
        yield next(fits, "on no grid")


def count(score: Score, n_parts: int, tally: Tally) -> None:
    """Count a piece in."""
    tally.pieces += 1
    drums = [track for track in score.tracks if track.is_drum]
    tracks = [k for k, track in enumerate(score.tracks) if len(track.notes) and not track.is_drum]
    try:
        placed = roll.place(score, n_parts)
    except RequestError as error:
        tally.refused[str(error).split(" is ")[0].removeprefix("a bar of ")] += 1
        return
    tally.percussion += sum(len(track.notes) for track in drums)
    tally.crowded += len(tracks) > n_parts
    for tick in timing.bar_starts(score, len(placed.starts) - 1)[:-1].tolist():
        metre = timing.metre_at(score, tick)
        tally.bars += 1
        tally.odd_bars += not whole_quarters(metre.numerator, metre.denominator)
    for part in range(min(n_parts, len(tracks))):
        of = tracks[part:] if part == n_parts - 1 else tracks[part : part + 1]
        pitches = np.concatenate([score.tracks[k].notes["pitch"] for k in of])
        tally.notes += len(pitches)
        tally.folded += int(((pitches < roll.LOWEST) | (pitches > roll.HIGHEST)).sum())
        compare(sources(score, placed, of), shown(score, placed, part, n_parts), 1 / score.ticks_per_beat + 1e-9, tally)


def whole_quarters(numerator: int, denominator: int) -> bool:
    """Whether clips can be cut from bars of this metre."""
    try:
        return conditions.beats_a_bar(numerator, denominator) > 0
    except RequestError:
        return False


@click.command(help=__doc__)
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--files", default=60, show_default=True, help="Files a folder at most, drawn with a fixed seed.")
@click.option("--parts", default=4, show_default=True, help="Parts of a roll.")
def main(folders: tuple[Path, ...], files: int, parts: int) -> None:
    """Read the folders and print both tables."""
    tallies = {}
    for folder in folders:
        paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".mid", ".midi"))
        random.Random(0).shuffle(paths)
        tallies[folder.name] = tally = Tally()
        for path in sorted(paths[:files]):
            count(read(path, warn=lambda _: None), parts, tally)
    head = ["source", "pieces", "metre refused", f"over {parts} tracks", "notes", "kept", "onsets moved",
            "by, of a quarter", "ends moved", "by, of a quarter"]  # fmt: skip
    table(head, [row(name, tally) for name, tally in tallies.items()])
    head = ["source", "merged", "lost otherwise", "folded", "onsets: triplets", "32nds and shorter", "on no grid",
            "ends cut", "ends later", "percussion left out", "bars of no whole quarters", "metres refused"]  # fmt: skip
    table(head, [reasons(name, tally) for name, tally in tallies.items()])


def row(name: str, tally: Tally) -> list[str]:
    """What is kept, and how far it moved."""
    kept = tally.notes - tally.doubled - tally.lost
    cells = [name, str(tally.pieces), share(tally.refused.total(), tally.pieces), share(tally.crowded, tally.pieces)]
    cells += [f"{tally.notes:,}", share(kept, tally.notes)]
    for shifts in (np.concatenate([np.zeros(0), *of]) for of in (tally.onsets, tally.ends)):
        moved = np.abs(shifts[shifts != 0])
        cells += [
            share(len(moved), len(shifts)),
            f"{moved.mean():.3f}, at most {moved.max():.2f}" if len(moved) else "",
        ]
    return cells


def reasons(name: str, tally: Tally) -> list[str]:
    """Why notes are lost or moved, as shares of all notes."""
    counts = [tally.doubled, tally.lost, tally.folded]
    counts += [tally.where[grid] for grid in (*GRIDS, "on no grid")]
    shares = [share(n, tally.notes) for n in (*counts, tally.cut, tally.stretched)]
    metres = ", ".join(f"{metre} ({n})" for metre, n in tally.refused.most_common()) or "none"
    return [name, *shares, f"{tally.percussion:,} notes", share(tally.odd_bars, tally.bars), metres]


def share(part: int, whole: int) -> str:
    """As a percentage."""
    return f"{100 * part / whole:.2f}%" if whole else ""


def table(head: list[str], rows: list[list[str]]) -> None:
    """Print in Markdown."""
    for cells in (head, ["---"] * len(head), *rows):
        click.echo(f"| {' | '.join(cells)} |")
    click.echo()


if __name__ == "__main__":
    main()
