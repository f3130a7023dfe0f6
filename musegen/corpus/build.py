"""Build shards from folders of music files: read, clean, keep held-out music out of train, encode.

What is left out is counted and named in shards.json. The work on one piece needs nothing of the others but
the index of held-out fingerprints, so both passes run in worker processes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

from musegen.corpus.clean import CleanConfig, level_velocities, reason_to_drop
from musegen.corpus.encode import encode, suffixes
from musegen.corpus.fingerprint import Fingerprint, exact_key, fingerprint, index_of
from musegen.corpus.manifest import SPLITS, Row, Source, find_source, read_manifest
from musegen.corpus.shards import Piece, save_shards
from musegen.errors import MusegenError
from musegen.score.formats import read
from musegen.tokens import Remi

A = TypeVar("A")
B = TypeVar("B")

_CHUNK = 64
"""Rows sent to a worker process at once."""


@dataclass(frozen=True)
class BuildConfig:
    """What goes into the shards."""

    clean: CleanConfig = field(default_factory=CleanConfig)
    same_piece: float = 0.1
    """Containment of n-grams from which on two pieces count as one. Measured on bach_m21 against jsb: different
    chorales share under .05, the same one .5 and more; what lies between are mostly settings that share phrases."""
    workers: int = 2
    """Processes; the shards do not depend on it."""


@dataclass(frozen=True)
class Prepared:
    """A row's piece, encoded and fingerprinted, or the reason why there is none."""

    row: Row
    reason: str | None = None
    piece: Piece | None = None
    suffixes: tuple[Piece, ...] = ()
    grams: Fingerprint = frozenset()
    key: int = 0


@dataclass(frozen=True)
class Exclusion:
    """Splits of a folder whose music must not stand in train."""

    folder: Path
    splits: tuple[str, ...]


def prepare(row: Row, config: CleanConfig) -> Prepared:
    """Read, check, encode and fingerprint one piece."""
    if "duplicate" in row.tags:
        return Prepared(row, reason="marked as duplicate in the manifest")
    source = find_source(Path(row.source))
    try:
        score = read(row.file, warn=_ignore)
    except MusegenError:
        return Prepared(row, reason="unreadable")
    if source.mechanical_velocities:
        score = level_velocities(score)
    reason = reason_to_drop(score, source, config)
    if reason is not None:
        return Prepared(row, reason=reason)
    try:
        piece = encode(score, source.style, row.source)
    except MusegenError as error:
        return Prepared(row, reason=f"not in the vocabulary: {error}")
    bar_ends = [*piece.bars[1:].tolist(), len(piece.ids)]
    if max(end - start for start, end in zip(piece.bars.tolist(), bar_ends, strict=True)) > config.max_bar_tokens:
        return Prepared(row, reason=f"a bar of more than {config.max_bar_tokens} tokens")
    tails = suffixes(score, piece, source.style, pickup="pickup" in row.tags) if row.split == "train" else []
    return Prepared(row, None, piece, tuple(tails), fingerprint(score), exact_key(score))


def _ignore(text: str) -> None:
    """Warnings about sysex and the like matter to a reader's user, not to a corpus."""


def read_fingerprint(row: Row) -> Fingerprint:
    """The fingerprint of one excluded piece."""
    return fingerprint(read(row.file, warn=_ignore))


def near_held_out(
    prepared: Sequence[Prepared], excluded: Sequence[tuple[str, Fingerprint]], threshold: float
) -> dict[str, tuple[str, float]]:
    """For each train piece that is a held-out one again: its name -> (that piece's name, containment)."""
    kept = [p for p in prepared if p.piece is not None]
    index = index_of([*excluded, *((p.row.name, p.grams) for p in kept if p.row.split != "train")])
    found = {p.row.name: index.closest(p.grams) for p in kept if p.row.split == "train"}
    return {name: match for name, match in found.items() if match[1] >= threshold}


def build(
    folders: Sequence[Path],
    output: Path,
    exclude: Sequence[Exclusion] = (),
    config: BuildConfig | None = None,
) -> dict[str, Any]:
    """Build the shards of `folders` in `output` and return what shards.json says.

    Raises:
        FileFormatError: if a manifest cannot be read.
        RequestError: if a folder is no known source.
    """
    config = config or BuildConfig()
    sources = {folder.name: find_source(folder) for folder in folders}
    rows = [row for folder in folders for row in read_manifest(folder)]
    held_out = [row for e in exclude for row in read_manifest(e.folder) if row.split in e.splits]
    prepared = _map(partial(prepare, config=config.clean), rows, config.workers)
    grams = _map(read_fingerprint, held_out, config.workers)
    excluded = [(row.name, g) for row, g in zip(held_out, grams, strict=True)]
    leaks = near_held_out(prepared, excluded, config.same_piece)

    splits: dict[str, list[Piece]] = {split: [] for split in SPLITS}
    names: dict[str, list[str]] = {split: [] for split in SPLITS}
    titles: dict[str, list[str]] = {split: [] for split in SPLITS}
    dropped: dict[str, list[str]] = {}
    seen: set[int] = set()
    outside = {name for name, _ in excluded}
    for p in prepared:
        reason = p.reason or _second_reason(p, leaks, outside, seen)
        if reason is not None:
            dropped.setdefault(f"{p.row.source}: {reason}", []).append(p.row.name)
            continue
        assert p.piece is not None
        seen.add(p.key)
        splits[p.row.split] += [p.piece, *p.suffixes]
        names[p.row.split].append(p.row.name)
        titles[p.row.split].append(p.row.title)

    info = {
        "tokenizer": Remi.name,
        "vocabulary": Remi().vocabulary.fingerprint,
        "attribute_sizes": list(Remi().attribute_sizes),
        "sources": {name: _source_info(name, source, splits) for name, source in sources.items()},
        "excluded": {f"{e.folder.name}:{','.join(e.splits)}": _exclusion_report(e, excluded, leaks) for e in exclude},
        "dropped": {reason: len(dropped[reason]) for reason in sorted(dropped)},
        "dropped_names": {reason: dropped[reason] for reason in sorted(dropped)},
        "leaks": {name: [match, round(share, 3)] for name, (match, share) in sorted(leaks.items())},
        "names": names,
        "titles": titles,
    }
    save_shards(output, splits, len(Remi().attribute_sizes), info)
    return info


def _source_info(name: str, source: Source, splits: Mapping[str, Sequence[Piece]]) -> dict[str, Any]:
    """What a model card has to say of a source."""
    return {
        "style": source.style,
        "licence": source.licence,
        "credit": source.credit,
        "counts": {split: _counts([p for p in splits[split] if p.source == name]) for split in SPLITS},
    }


def _counts(pieces: Sequence[Piece]) -> dict[str, int]:
    """Whole pieces with their notes and tokens, and how many suffixes there are beside them."""
    whole = [p for p in pieces if p.first_bar == 0]
    return {
        "pieces": len(whole),
        "notes": sum(p.n_notes for p in whole),
        "tokens": sum(len(p.ids) for p in whole),
        "suffixes": len(pieces) - len(whole),
    }


def _second_reason(p: Prepared, leaks: dict[str, tuple[str, float]], outside: set[str], seen: set[int]) -> str | None:
    """Reasons that depend on other pieces."""
    if p.row.name in leaks:
        name = leaks[p.row.name][0]
        where = name.split("/")[0] if name in outside else "our own"
        return f"in train, but the music of a held-out piece ({where})"
    if p.row.split == "train" and p.key in seen:
        return "the same notes as an earlier piece"
    return None


def _exclusion_report(
    exclusion: Exclusion, excluded: Iterable[tuple[str, Fingerprint]], leaks: dict[str, tuple[str, float]]
) -> dict[str, int]:
    """How many held-out pieces of the folder there are, how many were met in train, by how many pieces."""
    own = {name for name, _ in excluded if name.startswith(exclusion.folder.name)}
    met = Counter(match for match, _ in leaks.values() if match in own)
    return {"pieces": len(own), "met_in_train": len(met), "train_pieces_dropped": sum(met.values())}


def _map(function: Callable[[A], B], items: Sequence[A], workers: int) -> list[B]:
    """Like map, in `workers` processes where there are more than one; results in order."""
    if workers <= 1:
        return [function(item) for item in items]
    chunks = [items[i : i + _CHUNK] for i in range(0, len(items), _CHUNK)]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        return [result for results in pool.map(partial(_run, function), chunks) for result in results]


def _run(function: Callable[[A], B], items: Sequence[A]) -> list[B]:
    return [function(item) for item in items]
