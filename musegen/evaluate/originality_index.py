"""The works that a model was trained on as lines of notes, in one small file, with a table to find passages in them.

A line is what remains of a track when of the notes that begin together only the highest is kept: one pitch and one
time for each onset. Drums have no line. Times are in steps of a 24th of a quarter, as the tokenizer counts them.

The file is a .npz (nothing in it is ever unpickled) of `intervals` (int8, semitones from the note before in the
line), `waits` (uint16, steps since that note), `firsts` (uint8, each line's first pitch), `lengths` (notes of each
line), `works` (which work each line is of) and `head` (JSON in UTF-8). The table of seeds is made anew at load,
which takes less time than reading it would.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from musegen.errors import ModelError
from musegen.score.formats.atomic import write_bytes
from musegen.score.model import Score

STEPS_PER_QUARTER = 24
SEED = 6
"""Notes in a row that a passage must have unchanged to be found: two changes among 20 notes always leave as many."""

SHIPPED = Path(__file__).parents[1] / "pretrained" / "originality.npz"
SUFFIX = ".originality.npz"
"""A model NAME.safetensors may have its own index NAME.originality.npz beside it."""

INDEX_VERSION = 1
_LARGEST = 500_000_000
"""Bytes that an index may unpack to: ten times what a hundred thousand tunes take."""
_LONGEST_WAIT = 0xFFFF
_BREAK = 1 << 20
"""Steps between one line and the next where all lines stand on one axis of time."""
_ARRAYS = {"intervals": "i1", "waits": "u2", "firsts": "u1", "lengths": "i4", "works": "i4", "head": "u1"}

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Line:
    """One line of a piece.

    Attributes:
        steps: (N,) when each note begins, rising; pitches: (N,) MIDI pitches; ticks: (N,) `steps` as the Score has it.
        track: the index of the track in the Score.
    """

    steps: Array
    pitches: Array
    ticks: Array
    track: int


def lines_of(score: Score, new_from: int = 0) -> list[Line]:
    """The lines of a piece; of its first track with notes only what begins at the tick `new_from` or later."""
    lines: list[Line] = []
    for number, track in enumerate(score.tracks):
        if track.is_drum or not len(track.notes):
            continue
        notes = track.notes if lines else track.notes[track.notes["start"] >= new_from]
        doubled = 2 * score.ticks_per_beat
        steps = (2 * notes["start"] * STEPS_PER_QUARTER + score.ticks_per_beat) // doubled
        order = np.lexsort((notes["pitch"], steps))
        highest = order[np.diff(steps[order], append=np.iinfo(np.int64).max) > 0]
        pitches = notes["pitch"][highest].astype(np.int64)
        lines.append(Line(steps[highest], pitches, notes["start"][highest], number))
    return lines


@dataclass(frozen=True, eq=False)
class Lines:
    """Lines one after the other: `pitches` (N,) and `times` (N,) in steps, rising all through.

    Line k is `bounds[k]` to `bounds[k + 1] - 1`.
    """

    pitches: Array
    times: Array
    bounds: Array

    @cached_property
    def line_of(self) -> Array:
        """(N,) which line each note is in."""
        lengths = np.diff(self.bounds)
        return np.repeat(np.arange(len(lengths), dtype=np.int32), lengths)

    @cached_property
    def whole(self) -> Array:
        """Indices of the notes from which a seed fits into the line."""
        return np.flatnonzero(np.repeat(self.bounds[1:], np.diff(self.bounds)) - np.arange(len(self.pitches)) >= SEED)

    @cached_property
    def seeds(self) -> Array:
        """(N,) uint32: a hash of the SEED notes from each note on, the same in every key and tempo.

        Hashed are the intervals, and the ratio of each wait to the one before it, to the nearest half octave of
        time. Seeds that would leave their line are there too and mean nothing: `whole` lists the others.
        """
        n = max(0, len(self.pitches) - SEED + 2)
        total = np.zeros(len(self.pitches), np.uint32)
        intervals = np.diff(self.pitches, append=0).astype(np.uint32) & 0xFF
        waits = np.log2(np.maximum(np.diff(self.times, append=0), 1)).astype(np.float32)
        ratios = np.rint(2 * np.diff(waits, append=0)).astype(np.int32).astype(np.uint32) & 0x7F
        both = intervals | ratios << 8
        for i in range(SEED - 1):
            part = (both if i < SEED - 2 else intervals)[i : i + n]  # the last wait of a seed has none after it
            total[:n] = (total[:n] ^ part) * np.uint32(0x9E3779B1)
            total[:n] ^= total[:n] >> np.uint32(15)
        return total


def joined(lines: Sequence[Line]) -> Lines:
    """Lines on one axis of time."""
    lengths = [len(line.steps) for line in lines]
    waits = [np.diff(line.steps, prepend=line.steps[:1] - _BREAK) for line in lines]
    return Lines(
        np.concatenate([np.zeros(0, np.int64), *(line.pitches for line in lines)]),
        np.cumsum(np.concatenate([np.zeros(0, np.int64), *waits])),
        np.cumsum([0, *lengths], dtype=np.int64),
    )


@dataclass(frozen=True)
class Work:
    """A piece of the training set: the file's name under its source, its title and its source."""

    name: str
    title: str
    source: str


@dataclass(frozen=True, eq=False)
class Index:
    """The training set.

    Attributes:
        lines: of all works; owners: (L,) the index in `works` of the work that each line is of.
        facts: what it covers, as the builder says it.
        real: for each source the longest shared passages, in notes and rising, of real pieces that are not in it.
    """

    lines: Lines
    owners: Array
    works: tuple[Work, ...]
    facts: Mapping[str, Any] = field(default_factory=dict)
    real: Mapping[str, Sequence[int]] = field(default_factory=dict)

    @cached_property
    def table(self) -> tuple[Array, Array]:
        """The seeds, sorted, and the note at which each begins."""
        places = self.lines.whole
        keys = self.lines.seeds[places].astype(np.uint64) << np.uint64(32) | places.astype(np.uint64)
        keys.sort()
        return (keys >> np.uint64(32)).astype(np.uint32), (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)

    @property
    def n_notes(self) -> int:
        """How many notes its lines have."""
        return len(self.lines.pitches)


def build(pieces: Iterable[tuple[Work, Score]], facts: Mapping[str, Any] | None = None) -> Index:
    """The index of these works; those without a line are in it, and never found."""
    works: list[Work] = []
    owners: list[int] = []
    lines: list[Line] = []
    for work, score in pieces:
        own = lines_of(score)
        owners += [len(works)] * len(own)
        works.append(work)
        lines += own
    return _stored(Index(joined(lines), np.array(owners, np.int32), tuple(works), facts or {}))


def _stored(index: Index) -> Index:
    """The index as it comes back from a file: a wait too long for one is cut, so that both find the same."""
    return _unpacked(_packed(index))


def _packed(index: Index) -> dict[str, Array]:
    starts = index.lines.bounds[:-1][np.diff(index.lines.bounds) > 0]
    intervals = np.diff(index.lines.pitches, prepend=0)
    waits = np.clip(np.diff(index.lines.times, prepend=0), 0, _LONGEST_WAIT)
    firsts = np.zeros(len(index.owners), np.int64)
    firsts[np.diff(index.lines.bounds) > 0] = index.lines.pitches[starts]
    intervals[starts] = waits[starts] = 0
    head = {
        "version": INDEX_VERSION,
        "facts": dict(index.facts),
        "real": {source: [int(n) for n in lengths] for source, lengths in index.real.items()},
        "works": [[work.name, work.title, work.source] for work in index.works],
    }
    values = {
        "intervals": intervals, "waits": waits, "firsts": firsts, "lengths": np.diff(index.lines.bounds),
        "works": index.owners, "head": np.frombuffer(json.dumps(head, ensure_ascii=False).encode(), np.uint8),
    }  # fmt: skip
    return {name: values[name].astype(f"<{kind}") for name, kind in _ARRAYS.items()}


def _unpacked(arrays: Mapping[str, Array]) -> Index:
    """The inverse of `_packed`; raises ValueError, KeyError or TypeError for what was never packed so."""
    if any(arrays[name].dtype != np.dtype(f"<{kind}") or arrays[name].ndim != 1 for name, kind in _ARRAYS.items()):
        raise ValueError("other kinds of arrays")
    head = json.loads(arrays["head"].tobytes())
    if head["version"] != INDEX_VERSION:
        raise ValueError(f"version {head['version']}, wanted {INDEX_VERSION}")
    lengths, owners = arrays["lengths"].astype(np.int64), arrays["works"]
    works = tuple(Work(*map(str, work)) for work in head["works"])
    bounds = np.cumsum([0, *lengths], dtype=np.int64)
    n = len(arrays["intervals"])
    if (lengths < 0).any() or not bounds[-1] == n == len(arrays["waits"]):
        raise ValueError("lines of other lengths than said")
    if not len(owners) == len(lengths) == len(arrays["firsts"]) or ((owners < 0) | (owners >= len(works))).any():
        raise ValueError("lines of no work")
    starts = bounds[:-1][lengths > 0]
    jumps = np.cumsum(arrays["intervals"], dtype=np.int64)
    firsts = arrays["firsts"].astype(np.int64)[lengths > 0]
    waits = arrays["waits"].astype(np.int64)
    waits[starts] = _BREAK
    pitches = jumps + np.repeat(firsts - jumps[starts], lengths[lengths > 0])
    lines = Lines(pitches, np.cumsum(waits), bounds)
    real = {str(source): sorted(int(x) for x in values) for source, values in head["real"].items()}
    return Index(lines, owners, works, dict(head["facts"]), real)


def save(index: Index, path: Path) -> None:
    """Write an index; the same index gives the same bytes, and the file appears whole or not at all."""
    stream = io.BytesIO()
    arrays: dict[str, Any] = dict(_packed(index))
    np.savez_compressed(stream, **arrays)
    write_bytes(stream.getvalue(), path, force=True)


def _check_size(data: bytes) -> None:
    """Raise ValueError for an archive that unpacks to more than any index."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        size = sum(member.file_size for member in archive.infolist())
    if size > _LARGEST:
        raise ValueError(f"it would unpack to {size} bytes")


def load(path: Path | None = None) -> Index:
    """Read an index; the shipped one if None.

    Raises:
        ModelError: if there is no such file, or it is damaged or no index.
    """
    path = path or SHIPPED
    try:
        data = path.read_bytes()
        _check_size(data)
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            return _unpacked({name: stored[name] for name in _ARRAYS})
    except FileNotFoundError:
        raise ModelError(f"{path}: no such index; build one with scripts/build_originality_index.py") from None
    except (
        OSError,
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
        KeyError,
        TypeError,
        ValueError,
        AttributeError,
    ) as error:
        raise ModelError(
            f"{path}: damaged, or no index of originality ({error}); get it again, or build one with "
            "scripts/build_originality_index.py"
        ) from error


def beside(model: str | Path) -> Path:
    """The index for a model: the one beside its file if there is one, else the shipped one."""
    path = Path(model)
    own = path.with_name(path.name.removesuffix(".safetensors") + SUFFIX)
    return own if path.suffix == ".safetensors" and own.is_file() else SHIPPED
