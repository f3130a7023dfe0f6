"""How whole folders of MIDI files go through musegen, beside the libraries of the field.

    python scripts/midi_files_report.py FOLDER... [--json OUT] [--workers 2] [--peers-every 20] [--markdown]

Every .mid below the folders is read, written, and read again, which must give an equal Score; symusic opens what was
written and must find as many notes. Of every N-th file (`--peers-every`) mido, miditoolkit and pretty_midi do so too.
A file in which another library finds other notes is listed with what is known to cause it. `bench.py files` has the
times of all these.
"""

from __future__ import annotations

import io
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path

import click
import mido
import numpy as np
import pretty_midi
from benchmarks.files import PEER_ERRORS, opened  # the folder beside this script

from musegen.errors import FileFormatError
from musegen.score.formats import Limits, ReadOptions, midi
from musegen.score.model import Score

LARGEST_TICK = pretty_midi.pretty_midi.MAX_TICK
OTHERS = ("symusic", "mido", "miditoolkit", "pretty_midi")
STUCK = "it drops notes without an end"
UNLIMITED = ReadOptions(Limits(tracks=2**16, bars=2**40, seconds=2**40))


@dataclass
class Record:
    """What became of a file.

    Attributes:
        notes: in our Score.
        refused: why we did not read it, "" if we did.
        alike: whether what was written is read as an equal Score.
        repaired: what was said of damage.
        found: notes that each other library finds in what we wrote, or its error; "symusic, original": in the file.
        why: for a library that finds other notes, what is known to cause it.
    """

    source: str
    path: str
    notes: int = 0
    refused: str = ""
    alike: bool = False
    repaired: str = ""
    found: dict[str, int | str] = field(default_factory=dict)
    why: dict[str, str] = field(default_factory=dict)


@click.command(help=__doc__)
@click.argument("folders", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--json", "out", type=click.Path(dir_okay=False, path_type=Path), help="A record of each file.")
@click.option("--workers", default=2, show_default=True, help="Processes.")
@click.option("--peers-every", default=20, show_default=True, help="Every N-th file for the slow libraries.")
@click.option("--markdown", is_flag=True, help="Tables in Markdown.")
def main(folders: tuple[Path, ...], out: Path | None, workers: int, peers_every: int, markdown: bool) -> None:
    """Go through the folders and print the tables."""
    jobs = []
    for folder in folders:
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in {".mid", ".midi"})
        source = "/".join(folder.resolve().parts[-2:])
        jobs += [(path, source, number % peers_every == 0) for number, path in enumerate(paths)]
    with get_context("spawn").Pool(workers) as pool:
        records = list(pool.imap(gone_through, jobs, chunksize=8))
    if out:
        out.write_text(json.dumps([asdict(record) for record in records], indent=1) + "\n")
    for head, rows in (kept(records), differences(records)):
        print(table([head, *rows], markdown=markdown), end="\n\n")


# ---- one file --------------------------------------------------------------------------------------------------


def gone_through(job: tuple[Path, str, bool]) -> Record:
    """Read, write and read a file; `job` is its path, its source, and whether the slow libraries see it."""
    path, source, with_peers = job
    record, data = Record(source, str(path)), path.read_bytes()
    said: list[str] = []
    try:
        score = midi.from_bytes(data, said.append)
    except FileFormatError as error:
        record.refused = str(error)
        return record
    written = midi.to_bytes(score)
    record.notes, record.repaired = score.n_notes, " ".join(said)
    record.alike = midi.from_bytes(written, said.append, UNLIMITED) == score
    record.found["symusic, original"] = original = counted("symusic", data)
    if original != record.notes:
        stuck = "note without an end" in record.repaired
        record.why["symusic, original"] = STUCK if stuck else cause(score, "symusic", original)
    for name in OTHERS if with_peers else OTHERS[:1]:
        record.found[name] = counted(name, written)
        if record.found[name] != record.notes:
            record.why[name] = cause(score, name, record.found[name])
    return record


def counted(name: str, data: bytes) -> int | str:
    """How many notes a library finds, or why it finds none."""
    try:
        music = mido.MidiFile(file=io.BytesIO(data)) if name == "mido" else opened(name, data)
    except PEER_ERRORS as error:
        return f"{type(error).__name__}: {error}"
    if name == "symusic":
        return int(music.note_num())
    if name == "mido":
        return int(sum(event.type == "note_on" and event.velocity > 0 for track in music.tracks for event in track))
    return sum(len(instrument.notes) for instrument in music.instruments)


def cause(score: Score, name: str, found: int | str) -> str:
    """What is known to make a library find other notes than ours."""
    if isinstance(found, str):
        guarded = name == "pretty_midi" and score.end + 1 > LARGEST_TICK
        return "it refuses more than 10 million ticks" if guarded else "it raises an error"
    missing = score.n_notes - found
    empty = sum(int((track.notes["duration"] == 0).sum()) for track in score.tracks)
    if missing == empty:
        return "it drops notes of no length"
    if 0 < missing < empty:
        return "it drops some notes of no length"
    rows = [track.notes[["start", "pitch"]] for track in score.tracks if len(track.notes)]
    twice = sum(len(notes) - len(np.unique(notes)) for notes in rows)
    return "notes of one pitch begin together" if twice else "not known"


# ---- tables ----------------------------------------------------------------------------------------------------

Table = tuple[Sequence[str], list[Sequence[str]]]


def kept(records: Sequence[Record]) -> Table:
    """Files and notes of each folder, and in how many the libraries find all notes."""
    head = ["folder", "files", "notes", "refused", "repaired", "read alike", "symusic, original", *OTHERS]
    sources: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        sources[record.source].append(record)
    return head, [_kept(source, of) for source, of in [*sources.items(), ("all", list(records))]]


def _kept(source: str, records: list[Record]) -> list[str]:
    def share(test: Callable[[Record], bool], among: Iterable[Record]) -> str:
        tested = list(among)
        return f"{sum(map(test, tested))} of {len(tested)}"

    read = [record for record in records if not record.refused]
    row = [source, str(len(records)), str(sum(record.notes for record in read)), str(len(records) - len(read))]
    row += [str(sum(record.repaired != "" for record in read)), share(lambda record: record.alike, read)]
    for name in ("symusic, original", *OTHERS):
        seen = (record for record in read if name in record.found)
        row.append(share(lambda record, name=name: record.found[name] == record.notes, seen))  # type: ignore[misc]
    return row


def differences(records: Sequence[Record]) -> Table:
    """How often each library found other notes, why, and an example."""
    count: Counter[tuple[str, str]] = Counter()
    examples: dict[tuple[str, str], str] = {}
    for record in records:
        reasons = {"musegen": record.refused.split(";")[0] or ("" if record.alike else "read otherwise")}
        for name, why in (reasons | record.why).items():
            if why:
                count[name, why] += 1
                found = f": {record.found[name]}, not {record.notes}" if name in record.found else ""
                examples.setdefault((name, why), f"{Path(record.path).name}{found}")
    return ["library", "finds other notes because", "files", "example"], [
        [name, why, str(n), examples[name, why]] for (name, why), n in count.most_common()
    ]


def table(rows: Sequence[Sequence[str]], *, markdown: bool) -> str:
    """The rows, the first of which is the head."""
    if markdown:
        lines = [f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows]
        return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


if __name__ == "__main__":
    main()
