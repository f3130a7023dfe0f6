"""Reading and writing MIDI files, from bytes to object and back, beside symusic, miditoolkit and pretty_midi.

All libraries go through all the files, in turn, in one process; the middle time of a file counts. Files that one of
them refuses are left out.
"""

from __future__ import annotations

import argparse
import gc
import io
import statistics
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import miditoolkit
import pretty_midi
import symusic
from mido.midifiles.meta import KeySignatureError

from musegen.errors import FileFormatError
from musegen.score.formats import midi

from .common import Figures, machine, markdown, midi_files

LIBRARIES = ("musegen", "symusic", "miditoolkit", "pretty_midi")
PEER_ERRORS = (
    AssertionError, AttributeError, EOFError, KeyError, KeySignatureError, IndexError, OSError, RuntimeError, TypeError,
    ValueError, ZeroDivisionError,
)  # fmt: skip
"""What the other libraries raise for a file that they do not like."""

Times = dict[str, dict[Path, list[tuple[float, float]]]]
"""Seconds to read and to write, of each library, file and round."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say what it can be told."""
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--files", type=int, default=50, help="of each folder at most (default 50)")
    parser.add_argument("--rounds", type=int, default=3)


def opened(name: str, data: bytes) -> Any:
    """The object that a library makes of a file."""
    if name == "musegen":
        return midi.from_bytes(data, lambda _: None)
    if name == "symusic":
        return symusic.Score.from_midi(data)
    if name == "miditoolkit":
        return miditoolkit.MidiFile(file=io.BytesIO(data))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of tempi outside the first track
        return pretty_midi.PrettyMIDI(io.BytesIO(data))


def saved(name: str, music: Any) -> bytes:
    """The file that a library makes of its object."""
    if name == "musegen":
        return midi.to_bytes(music)
    if name == "symusic":
        return bytes(music.dumps_midi())
    file = io.BytesIO()
    if name == "miditoolkit":
        music.dump(file=file)
    else:
        music.write(file)
    return file.getvalue()


def measure(options: argparse.Namespace) -> Figures:
    """Seconds of each library for all the files, and of the middle file against ours."""
    contents = {path: path.read_bytes() for folder in options.folders for path in midi_files(folder, options.files)}
    times = _times(contents, options.rounds)
    complete = [path for path in contents if all(path in times[name] for name in LIBRARIES)]
    rows = []
    for work in (0, 1):
        middle = {
            name: [statistics.median(each[work] for each in times[name][path]) for path in complete]
            for name in LIBRARIES
        }
        for name, seconds in middle.items():
            ratios = [theirs / ours for theirs, ours in zip(seconds, middle["musegen"], strict=True)]
            rows.append({"work": ("read", "write")[work], "library": name, "seconds": sum(seconds),
                         "middle": statistics.median(ratios)})  # fmt: skip
    n_notes = sum(opened("musegen", contents[path]).n_notes for path in complete)
    return {"machine": machine(), "given": len(contents), "files": len(complete), "notes": n_notes, "rows": rows}


def _times(contents: dict[Path, bytes], rounds: int) -> Times:
    """In whole passes, since nobody changes the library with every file."""
    times: Times = {name: defaultdict(list) for name in LIBRARIES}
    for turn in range(rounds):
        first = turn % len(LIBRARIES)
        for name in LIBRARIES[first:] + LIBRARIES[:first]:  # none always follows the same one
            gc.collect()
            for path, data in contents.items():
                try:
                    began = time.perf_counter()
                    music = opened(name, data)
                    read = time.perf_counter()
                    saved(name, music)
                except (FileFormatError, *PEER_ERRORS):
                    continue
                times[name][path].append((read - began, time.perf_counter() - read))
            print(f"round {turn + 1}: {name}", file=sys.stderr, flush=True)
    return times


def table(result: Figures) -> Iterator[str]:
    """A line a work and library: of all files together, and of the middle one of the files, half of which are small."""
    files, notes = result["files"], result["notes"]
    ours = {row["work"]: row["seconds"] for row in result["rows"] if row["library"] == "musegen"}
    lines = [
        [row["work"], row["library"], f"{files / row['seconds']:,.0f}", f"{notes / row['seconds']:,.0f}",
         f"{row['seconds'] / ours[row['work']]:.2f}", f"{row['middle']:.2f}"]
        for row in result["rows"]
    ]  # fmt: skip
    head = ["work", "library", "files a second", "notes a second", "musegen is faster by", "in the middle file"]
    yield from markdown(head, lines, words=2)
    yield f"\n{files:,} of {result['given']:,} files, which all libraries read and write; {notes:,} notes."
