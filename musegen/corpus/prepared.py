"""What is made of one file by itself, and a folder that keeps it until the build is done.

The folder makes a build resumable. It holds numbered .safetensors files, each with the results of many files, and
knows a file by its path, size, time of change and all that its result depends on.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from musegen import __version__
from musegen.corpus.clean import CleanConfig, reason_to_drop
from musegen.corpus.encode import piece_of
from musegen.corpus.fingerprint import Fingerprint, exact_key, fingerprint
from musegen.corpus.manifest import Row
from musegen.corpus.shards import Array, Piece
from musegen.corpus.sources import Source
from musegen.corpus.workers import FileLimits
from musegen.errors import FileFormatError, MusegenError
from musegen.score.formats import read, write_bytes
from musegen.tokens import Remi
from musegen.tokens.vocabulary import STYLES, VOCABULARY

_CHUNK = 1024
_SECONDS = 10.0
"""Results are written when there are so many, or after so long."""


@dataclass(frozen=True)
class PrepareConfig:
    """All that the result of one file depends on, beside the file and its source."""

    clean: CleanConfig = field(default_factory=CleanConfig)
    limits: FileLimits = field(default_factory=FileLimits)
    chords: bool = True
    """Whether chords are put beside the tokens."""


@dataclass(frozen=True)
class Job:
    """A file to prepare; `compare_only` for one that is only compared with others, whatever its state."""

    row: Row
    source: Source
    config: PrepareConfig
    compare_only: bool = False

    @property
    def key(self) -> str:
        """Equal for equal results."""
        try:
            status = self.row.file.stat()
            state = [status.st_size, status.st_mtime_ns]
        except OSError:
            state = []
        tags = sorted(self.row.tags)
        said = [str(self.row.file.resolve()), state, tags, asdict(self.source), asdict(self.config), self.compare_only]
        made_by = [__version__, Remi().vocabulary.fingerprint]
        return hashlib.blake2b(json.dumps([made_by, said]).encode(), digest_size=16).hexdigest()


@dataclass(frozen=True)
class Prepared:
    """A piece, encoded and fingerprinted, or the reason why there is none, with what was said of this file alone."""

    reason: str = ""
    detail: str = ""
    piece: Piece | None = None
    grams: Fingerprint = field(default_factory=lambda: np.zeros(0, np.uint64))
    key: str = ""

    @property
    def style(self) -> str:
        """The style in the head, "" for none."""
        if self.piece is None:
            return ""
        said = VOCABULARY.types[self.piece.ids[: int(self.piece.bars[0])]] == VOCABULARY.type_index["Style"]
        at = int(np.argmax(said))
        return STYLES[VOCABULARY.values[self.piece.ids[at]]] if said.any() else ""


def prepare(job: Job) -> Prepared:
    """Read, check, encode and fingerprint one piece."""
    row, config = job.row, job.config
    if "duplicate" in row.tags and not job.compare_only:
        return Prepared("marked as duplicate in the manifest")
    try:
        score = read(row.file, warn=_ignore)
    except MusegenError as error:
        return Prepared("unreadable", str(error).removeprefix(f"{row.file}: "))
    if job.compare_only:
        return Prepared(grams=fingerprint(score), key=exact_key(score))
    reason = reason_to_drop(score, job.source, config.clean)
    if reason is not None:
        return Prepared(reason)
    try:
        piece = piece_of(score, row.source, job.source, row.tags, chords=config.chords)
    except MusegenError as error:
        return Prepared("not in the vocabulary", str(error))
    if int(np.diff(piece.bars, append=len(piece.ids)).max()) > config.clean.max_bar_tokens:
        return Prepared(f"a bar of more than {config.clean.max_bar_tokens} tokens")
    return Prepared(piece=piece, grams=fingerprint(score), key=exact_key(score))


def _ignore(text: str) -> None:
    """Warnings about sysex and the like matter to a reader's user, not to a corpus."""


class WorkFolder:
    """Results by the keys of their jobs, on disk. What is there already is read at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.results: dict[str, Prepared] = {}
        self._new: dict[str, Prepared] = {}
        self._written = time.monotonic()
        files = sorted(folder.glob("*.safetensors"))
        for file in files:
            self.results |= _load(file)
        self._next = int(files[-1].stem) + 1 if files else 0

    def add(self, key: str, result: Prepared) -> None:
        """Keep one more."""
        self.results[key] = self._new[key] = result
        if len(self._new) >= _CHUNK or time.monotonic() - self._written > _SECONDS:
            self.write()

    def write(self) -> None:
        """Write what has come since the last time."""
        if self._new:
            write_bytes(_bytes(self._new), self.folder / f"{self._next:06d}.safetensors")
            self._next += 1
            self._new = {}
        self._written = time.monotonic()

    def remove(self) -> None:
        """Take the folder away."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _bytes(results: dict[str, Prepared]) -> bytes:
    rows: list[dict[str, object]] = []
    parts: dict[str, list[Array]] = {"ids": [], "chords": [], "grams": []}
    for key, result in results.items():
        row: dict[str, object] = {"job": key, "reason": result.reason, "detail": result.detail, "key": result.key}
        parts["grams"].append(result.grams)
        row["grams"] = len(result.grams)
        if result.piece is not None:
            p = result.piece
            row |= {"n_notes": p.n_notes, "source": p.source, "seconds": p.seconds}
            row |= {"ids": len(p.ids), "chords": len(p.chords)}
            parts["ids"].append(p.ids.astype(np.int16))
            parts["chords"].append(p.chords.astype(np.int16))
        rows.append(row)
    arrays = {
        "ids": np.concatenate([np.zeros(0, np.int16), *parts["ids"]]),
        "chords": np.concatenate([np.zeros((0, 4), np.int16), *parts["chords"]]),
        "grams": np.concatenate([np.zeros(0, np.uint64), *parts["grams"]]),
    }
    return save(arrays, metadata={"rows": json.dumps(rows)})


def _load(path: Path) -> dict[str, Prepared]:
    try:
        with safe_open(path, "numpy") as file:
            rows = json.loads(file.metadata()["rows"])
            ids, chords, grams = (file.get_tensor(name) for name in ("ids", "chords", "grams"))
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise FileFormatError(f"{path}: is damaged ({error}); remove it and build again") from None
    results, at = {}, [0, 0, 0]
    for row in rows:
        piece = None
        if "ids" in row:
            here, there = slice(at[0], at[0] + row["ids"]), slice(at[1], at[1] + row["chords"])
            piece = Piece(ids[here], row["n_notes"], row["source"], row["seconds"], chords[there])
            at[0], at[1] = here.stop, there.stop
        own = grams[at[2] : at[2] + row["grams"]]
        at[2] += row["grams"]
        results[row["job"]] = Prepared(row["reason"], row["detail"], piece, own, row["key"])
    return results
