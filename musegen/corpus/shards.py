"""The shards: whole encoded pieces of one split in flat arrays, one .safetensors file a split, and shards.json.

What training makes of a piece (windows, keys, controls left out, chords said) is made when it is drawn. The bytes
depend only on the pieces.

Arrays of a split with P pieces, N tokens and C chords:
    ids (N,) int16                  tokens of all pieces, one after the other, no chords among them
    pieces (P + 1,) int64           piece p is ids[pieces[p]:pieces[p + 1]]
    n_notes (P,) int32              notes in each piece
    sources (P,) int16              index into the source list of shards.json
    seconds (P,) float32            how long each piece plays
    chords (C, 4) int16             bar, position, Chord value, Bass value (-1 none), as tokens.grid.Grid.chords
    piece_chords (P + 1,) int64     the chords of piece p are chords[piece_chords[p]:piece_chords[p + 1]]

shards.json says what the pieces are; its `names` (files under their sources) and `titles` are lists by split, an
entry for each piece in the order of `pieces`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from musegen.corpus.manifest import SPLITS
from musegen.errors import FileFormatError, ModelError
from musegen.score.formats import write_bytes
from musegen.score.model import KeySignature
from musegen.score.theory import Key
from musegen.tokens import VOCABULARY, Remi
from musegen.tokens.vocabulary import KEYS

SHARDS_VERSION = 3
"""3: whole pieces with their chords."""
INFO_FILE = "shards.json"

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Piece:
    """One encoded piece: ids (T,), chords (C, 4) as in the module's docstring, how many notes, how long it plays."""

    ids: Array
    n_notes: int
    source: str
    seconds: float = 0.0
    chords: Array = field(default_factory=lambda: np.zeros((0, 4), np.int16))

    @cached_property
    def attributes(self) -> npt.NDArray[np.int16]:
        """(T, A) what the tokenizer derives from the ids."""
        return Remi().attributes(self.ids)

    @property
    def keys(self) -> list[str]:
        """The names of the keys that are said, in their order: first that of the head."""
        said = self.ids[VOCABULARY.types[self.ids] == VOCABULARY.type_index["Key"]]
        return [Key.from_signature(KeySignature(0, *KEYS[value])).name for value in VOCABULARY.values[said].tolist()]

    @cached_property
    def bars(self) -> npt.NDArray[np.int64]:
        """Indices of the Bar tokens."""
        return Remi().bar_offsets(self.ids)


@dataclass(frozen=True, eq=False)
class Split:
    """All pieces of a split, in flat arrays as the module's docstring lists them."""

    arrays: Mapping[str, Array]
    source_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.arrays["n_notes"])

    def __getitem__(self, index: int) -> Piece:
        a = self.arrays
        return Piece(
            ids=a["ids"][int(a["pieces"][index]) : int(a["pieces"][index + 1])],
            n_notes=int(a["n_notes"][index]),
            source=self.source_names[int(a["sources"][index])],
            seconds=float(a["seconds"][index]),
            chords=a["chords"][int(a["piece_chords"][index]) : int(a["piece_chords"][index + 1])],
        )

    def __iter__(self) -> Iterator[Piece]:
        return (self[i] for i in range(len(self)))


def flatten(pieces: Sequence[Piece], source_names: Sequence[str]) -> dict[str, Array]:
    """Lay pieces out one after the other; the inverse of Split's indexing."""
    return {
        "ids": np.concatenate([np.zeros(0, np.int16), *(p.ids for p in pieces)]).astype(np.int16),
        "pieces": np.cumsum([0, *(len(p.ids) for p in pieces)], dtype=np.int64),
        "n_notes": np.array([p.n_notes for p in pieces], np.int32),
        "sources": np.array([source_names.index(p.source) for p in pieces], np.int16),
        "seconds": np.array([p.seconds for p in pieces], np.float32),
        "chords": np.concatenate([np.zeros((0, 4), np.int16), *(p.chords for p in pieces)]).astype(np.int16),
        "piece_chords": np.cumsum([0, *(len(p.chords) for p in pieces)], dtype=np.int64),
    }


def save_shards(folder: Path, splits: Mapping[str, Sequence[Piece]], info: dict[str, Any]) -> None:
    """Write one file a split and at last shards.json; `info` holds at least `vocabulary` and `sources` (by name).

    Raises:
        FileFormatError: if a file cannot be written.
    """
    names = list(info["sources"])
    (folder / INFO_FILE).unlink(missing_ok=True)  # an old one must not speak for new splits if this is interrupted
    for split in SPLITS:
        write_bytes(save(flatten(splits[split], names)), folder / f"{split}.safetensors", force=True)
    text = json.dumps({"version": SHARDS_VERSION, **info}, indent=1, ensure_ascii=False)
    write_bytes(f"{text}\n".encode(), folder / INFO_FILE)


def load_info(folder: Path, vocabulary: str | None = None) -> dict[str, Any]:
    """Read shards.json; with `vocabulary`, check that the shards were written with that table.

    Raises:
        FileFormatError: if there is no shards.json or it is none.
        ModelError: if the shards' vocabulary or version is another.
    """
    path = folder / INFO_FILE
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FileFormatError(f"{path}: cannot be read ({error}); build it with musegen corpus build") from error
    version = info.get("version") if isinstance(info, dict) else None
    if version != SHARDS_VERSION:
        raise ModelError(f"{path}: version {version}, wanted {SHARDS_VERSION}; build the corpus again")
    if vocabulary is not None and info["vocabulary"] != vocabulary:
        raise ModelError(f"{path}: vocabulary {info['vocabulary']}, wanted {vocabulary}; build the corpus again")
    return dict(info)


def load_split(folder: Path, split: str, vocabulary: str | None = None) -> Split:
    """Read one split; raises as `load_info` does."""
    info = load_info(folder, vocabulary)
    path = folder / f"{split}.safetensors"
    try:
        return Split(load_file(path), tuple(info["sources"]))
    except (OSError, SafetensorError) as error:
        raise FileFormatError(f"{path}: cannot be read ({error}); build the corpus again") from None
