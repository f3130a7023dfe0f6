"""The shards: encoded pieces of one split in flat arrays, one .safetensors file a split, and shards.json.

Tokens are stored as written; transposition is done at load. The bytes depend only on the pieces.

Arrays of a split with P pieces, N tokens, B bar tokens and A attributes a token:
    ids (N,) int16                  tokens of all pieces, one after the other
    attributes (N, A) int16         what the tokenizer derives from them
    pieces (P + 1,) int64           piece p is ids[pieces[p]:pieces[p + 1]]
    bars (B,) int32                 where each Bar token stands within its piece
    piece_bars (P + 1,) int64       the bars of piece p are bars[piece_bars[p]:piece_bars[p + 1]]
    n_notes (P,) int32              notes in each piece
    sources (P,) int16              index into the source list of shards.json
    seconds (P,) float32            how long each piece plays
    first_bars (P,) int32           0 for a whole piece; otherwise this is the end of the whole piece before it,
                                    from that bar on

shards.json says what the pieces are; its `names` (files under their sources) and `titles` are lists by split, an
entry for each whole piece in the order of `pieces`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load_file, save_file

from musegen.corpus.manifest import SPLITS
from musegen.errors import FileFormatError, ModelError

SHARDS_VERSION = 2
"""2: with titles and seconds of the pieces."""
INFO_FILE = "shards.json"

Array = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Piece:
    """One encoded piece: ids (T,), attributes (T, A), bars: indices of its Bar tokens.

    `first_bar` is 0 for a whole piece; otherwise this is the end of one, from that bar on.
    """

    ids: Array
    attributes: Array
    bars: Array
    n_notes: int
    source: str
    first_bar: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, eq=False)
class Split:
    """All pieces of a split, in flat arrays as the module's docstring lists them."""

    arrays: Mapping[str, Array]
    source_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.arrays["n_notes"])

    def __getitem__(self, index: int) -> Piece:
        a = self.arrays
        here = slice(int(a["pieces"][index]), int(a["pieces"][index + 1]))
        bars = slice(int(a["piece_bars"][index]), int(a["piece_bars"][index + 1]))
        return Piece(
            ids=a["ids"][here],
            attributes=a["attributes"][here],
            bars=a["bars"][bars],
            n_notes=int(a["n_notes"][index]),
            source=self.source_names[int(a["sources"][index])],
            first_bar=int(a["first_bars"][index]),
            seconds=float(a["seconds"][index]),
        )

    @cached_property
    def whole(self) -> npt.NDArray[np.int64]:
        """Indices of the whole pieces."""
        return np.flatnonzero(self.arrays["first_bars"] == 0)

    def __iter__(self) -> Iterator[Piece]:
        return (self[i] for i in range(len(self)))


def flatten(pieces: Sequence[Piece], source_names: Sequence[str], n_attributes: int) -> dict[str, Array]:
    """Lay pieces out one after the other; the inverse of Split's indexing."""
    empty = [np.zeros((0, n_attributes), np.int16)]
    return {
        "ids": np.concatenate([p.ids for p in pieces] or [np.zeros(0)]).astype(np.int16),
        "attributes": np.concatenate([p.attributes for p in pieces] or empty).astype(np.int16),
        "pieces": np.cumsum([0, *(len(p.ids) for p in pieces)], dtype=np.int64),
        "bars": np.concatenate([p.bars for p in pieces] or [np.zeros(0)]).astype(np.int32),
        "piece_bars": np.cumsum([0, *(len(p.bars) for p in pieces)], dtype=np.int64),
        "n_notes": np.array([p.n_notes for p in pieces], np.int32),
        "sources": np.array([source_names.index(p.source) for p in pieces], np.int16),
        "first_bars": np.array([p.first_bar for p in pieces], np.int32),
        "seconds": np.array([p.seconds for p in pieces], np.float32),
    }


def save_shards(folder: Path, splits: Mapping[str, Sequence[Piece]], n_attributes: int, info: dict[str, Any]) -> None:
    """Write one file a split and shards.json; `info` holds at least `vocabulary` and `sources` (by name)."""
    folder.mkdir(parents=True, exist_ok=True)
    names = list(info["sources"])
    for split in SPLITS:
        save_file(flatten(splits[split], names, n_attributes), folder / f"{split}.safetensors")
    text = json.dumps({"version": SHARDS_VERSION, **info}, indent=1, ensure_ascii=False)
    (folder / INFO_FILE).write_text(text + "\n", encoding="utf-8")


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
        raise FileFormatError(f"{path}: cannot be read ({error}); build it with scripts/build_corpus.py") from error
    if info.get("version") != SHARDS_VERSION:
        raise ModelError(f"{path}: version {info.get('version')}, wanted {SHARDS_VERSION}; build the corpus again")
    if vocabulary is not None and info["vocabulary"] != vocabulary:
        raise ModelError(f"{path}: vocabulary {info['vocabulary']}, wanted {vocabulary}; build the corpus again")
    return dict(info)


def load_split(folder: Path, split: str, vocabulary: str | None = None) -> Split:
    """Read one split; raises as `load_info` does."""
    info = load_info(folder, vocabulary)
    return Split(load_file(folder / f"{split}.safetensors"), tuple(info["sources"]))
