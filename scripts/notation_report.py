"""Pieces of music21's corpus through MusicXML and back: does the Score stay the same, and do others read it?

python scripts/notation_report.py --count 270

Each piece is read (MusicXML or ABC -> Score), written as MusicXML and read again; the two Scores must be equal in
every field. verovio, where it is installed, engraves what was written, and must have nothing to say about it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path

from musegen.errors import MusegenError
from musegen.score.formats import ReadOptions, from_bytes, to_bytes
from musegen.score.model import Score

KINDS = {
    "chorales": ("bach/bwv*.mxl", None),
    "quartets": ("[hmb]*/opus*/*.mxl", None),
    "other quartets": ("mozart/k*/*.mxl", None),
    "songs": ("schumann*/**/*.mxl", None),
    "folk tunes": ("airdsAirs/*.abc", 12),
    "more folk tunes": ("oneills1850/*.abc", 12),
    "folk songs": ("essenFolksong/*.abc", 8),
}
"""Kinds of piece: where they lie in the corpus, and of collections how many tunes of each file are taken."""


@dataclass(frozen=True)
class Outcome:
    """What became of a piece: the fields that differ, and the MusicXML."""

    kind: str
    name: str
    differs: tuple[str, ...] = ()
    error: str = ""
    notes: int = 0
    written: bytes = b""


def pieces(count: int) -> Iterator[tuple[str, str, bytes]]:
    """(kind, name, content) of `count` pieces at most, as many of each kind, or all that there are."""
    import music21

    corpus = Path(music21.__file__).parent / "corpus"
    share = -(-count // len(KINDS))
    for kind, (pattern, tunes) in KINDS.items():
        paths = sorted(corpus.glob(pattern))
        found: list[tuple[str, bytes]] = []
        if tunes is None:
            step = max(1, len(paths) // share)
            found = [(path.name, path.read_bytes()) for path in paths[::step]]
        else:
            for path in paths:
                text = path.read_text("utf-8", "replace")
                each = re.split(r"(?m)^(?=X:)", text)[1:]
                found += [(f"{path.name} {n + 1}", tune.encode()) for n, tune in enumerate(each[::5][:tunes])]
        for name, data in found[:share]:
            yield kind, name, data


def check(kind: str, name: str, data: bytes) -> Outcome:
    """Read, write, read again."""
    try:
        first = from_bytes(data, options=ReadOptions())
        written = to_bytes(first, ".musicxml")
        second = from_bytes(written)
    except MusegenError as error:
        return Outcome(kind, name, error=str(error))
    differs = tuple(field.name for field in fields(Score) if getattr(first, field.name) != getattr(second, field.name))
    return Outcome(kind, name, differs, notes=first.n_notes, written=written)


def engraved(data: bytes) -> str:
    """The first thing that verovio says of a MusicXML document; "" if nothing, or if it is not there."""
    try:
        import verovio
    except ImportError:
        return ""
    with tempfile.TemporaryFile() as said:  # verovio speaks on the process's own stderr
        pipe = os.dup(2)
        os.dup2(said.fileno(), 2)
        try:
            toolkit = verovio.toolkit()
            good = toolkit.loadData(data.decode()) and "<svg" in toolkit.renderToSVG(1)
        finally:
            os.dup2(pipe, 2)
            os.close(pipe)
        said.seek(0)
        lines = said.read().decode(errors="replace").strip().splitlines()
    return lines[0] if lines else "" if good else "not rendered"


def main() -> int:
    """Print the table; 1 if a piece does not come back the same."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=270)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    with ThreadPoolExecutor(arguments.workers) as pool:
        outcomes = list(pool.map(lambda piece: check(*piece), pieces(arguments.count)))
    remarks = {id(outcome): engraved(outcome.written) for outcome in outcomes if outcome.written}
    for outcome in outcomes:
        for what in (outcome.error, ", ".join(outcome.differs), remarks.get(id(outcome))):
            if what:
                print(f"{outcome.kind}: {outcome.name}: {what}", file=sys.stderr)
    print("| pieces | read | equal | engraved in silence | notes |\n|---|---:|---:|---:|---:|")
    kinds = Counter(outcome.kind for outcome in outcomes)
    for kind in (*kinds, "all"):
        own = [outcome for outcome in outcomes if kind in (outcome.kind, "all")]
        read = [outcome for outcome in own if not outcome.error]
        equal = sum(not outcome.differs for outcome in read)
        silent = sum(not remarks.get(id(outcome)) for outcome in read)
        print(f"| {kind} | {len(read)} of {len(own)} | {equal} | {silent} | {sum(o.notes for o in read):,} |")
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
    return int(any(outcome.error or outcome.differs for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
