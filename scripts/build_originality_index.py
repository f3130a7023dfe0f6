"""Build the index behind `musegen evaluate originality` and `--max-copy`, from shards or folders with a manifest.

    python scripts/build_originality_index.py --shards shards -o musegen/pretrained/originality.npz
    python scripts/build_originality_index.py data/lieder data/mutopia -o classical.originality.npz

From shards it holds exactly what a model was trained on, the train split; from folders their rows of split train.
The longest passages that pieces of split valid share with it are stored beside, so that a report can say what is usual.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from musegen.corpus.manifest import Row, read_manifest
from musegen.corpus.shards import load_info, load_split
from musegen.errors import MusegenError, RequestError
from musegen.evaluate.originality import longest_passage
from musegen.evaluate.originality_index import Index, Work, build, lines_of, save
from musegen.score.formats import read
from musegen.score.model import Score
from musegen.tokens import Remi

Pieces = list[tuple[Work, Score]]


def shard_pieces(folder: Path, split: str) -> Pieces:
    """The pieces of a split as the tokens have them."""
    info, tokenizer = load_info(folder, Remi().vocabulary.fingerprint), Remi()
    pieces = load_split(folder, split)
    names, titles = info["names"][split], info["titles"][split]
    return [
        (Work(name, title, piece.source), tokenizer.decode(piece.ids))
        for name, title, piece in zip(names, titles, pieces, strict=True)
    ]


def folder_pieces(folders: list[Path], split: str, left_out: Counter[str]) -> Iterator[tuple[Work, Score]]:
    """The pieces of a split; what is left out is counted."""
    for row in (row for folder in folders for row in read_manifest(folder) if row.split == split):
        if "duplicate" in row.tags:
            left_out["marked as duplicate in the manifest"] += 1
            continue
        score = _read(row)
        if score is None:
            left_out["unreadable"] += 1
            print(f"unreadable: {row.name}", file=sys.stderr)
        else:
            yield Work(row.name, row.title, row.source), score


def _read(row: Row) -> Score | None:
    try:
        return read(row.file, warn=lambda _: None)
    except MusegenError:
        return None


def with_real(index: Index, pieces: Pieces) -> tuple[Index, float]:
    """The index with what these pieces share with it, and the seconds that took."""
    began, real = time.perf_counter(), dict[str, list[int]]()
    for work, score in pieces:
        if lines_of(score):
            real.setdefault(work.source, []).append(longest_passage(index, score).notes)
    ordered = {source: sorted(lengths) for source, lengths in sorted(real.items())}
    return replace(index, real=ordered), time.perf_counter() - began


def main() -> int:
    """Parse, build, report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", nargs="*", type=Path, help="folders that hold a manifest.csv")
    parser.add_argument("--shards", type=Path, help="shards as musegen corpus build writes them, instead of folders")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the file")
    options = parser.parse_args()
    left_out: Counter[str] = Counter()
    try:
        if bool(options.folders) == bool(options.shards):
            raise RequestError("name folders or --shards, one of the two")
        if options.shards:
            data = (options.shards / "train.safetensors").read_bytes()
            facts = {"split": "train", "vocabulary": Remi().vocabulary.fingerprint,
                     "shards": hashlib.sha256(data).hexdigest()[:12]}  # fmt: skip
            train, valid = (shard_pieces(options.shards, split) for split in ("train", "valid"))
        else:
            facts = {"split": "train"}
            train, valid = (list(folder_pieces(options.folders, split, left_out)) for split in ("train", "valid"))
        index = build(train, facts)
        index, seconds = with_real(index, valid)
        save(index, options.output)
    except MusegenError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    works = Counter(work.source for work in index.works)
    size = options.output.stat().st_size
    print(f"{options.output}: {size:,} bytes, {index.n_notes:,} notes in {len(index.owners):,} lines")
    for source, count in works.items():
        print(f"{source:12s} {count:6,} works; held out: {len(index.real.get(source, ())):,} pieces")
    for reason, count in left_out.items():
        print(f"left out {count:5,}  {reason}")
    print(f"{1000 * seconds / max(1, len(valid)):.1f} ms a held-out piece")
    return 0


if __name__ == "__main__":
    sys.exit(main())
