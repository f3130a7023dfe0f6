"""Build shards from folders of music files: read, clean, encode, keep held-out music out of train.

Each file is prepared by itself, in processes (`prepared`); then pieces are compared with each other (`splits`). What
is left out is counted and named in shards.json.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from musegen.corpus.manifest import SPLITS, Row, list_pieces, source_name
from musegen.corpus.prepared import Job, PrepareConfig, Prepared, WorkFolder, prepare
from musegen.corpus.shards import INFO_FILE, Piece, save_shards
from musegen.corpus.sources import SOURCES, Source, source_of
from musegen.corpus.splits import Decisions, Shares, decide
from musegen.corpus.workers import Failed, run
from musegen.errors import RequestError
from musegen.tokens import STYLES, Remi

WORK = ".work"
"""The folder in the output that keeps what is prepared until the build is done."""

Advance = Callable[[int, int], None]
"""Called with how many files are prepared, and of how many."""


@dataclass(frozen=True)
class BuildConfig:
    """What goes into the shards."""

    prepare: PrepareConfig = field(default_factory=PrepareConfig)
    same_piece: float = 0.1
    """Containment of n-grams from which on two pieces count as one. Measured on bach_m21 against jsb: different
    chorales share under .05, the same one .5 and more; what lies between are mostly settings that share phrases."""
    style: str | None = None
    """The style of folders that are no known source, one of STYLES."""
    restyle: bool = False
    """Whether it is the style of known sources too, whose pieces then may have any number of tracks."""
    shares: Shares = field(default_factory=Shares)
    """How pieces are shared out for which no manifest says a split."""
    workers: int = 2
    """Processes; the shards do not depend on it."""
    keep_work: bool = False
    """Whether the work folder stays, so that a larger build need not read these files again."""

    def __post_init__(self) -> None:
        if self.style not in (None, *STYLES):
            raise RequestError(f"unknown style {self.style!r}; the styles are {', '.join(STYLES)}")


@dataclass(frozen=True)
class Exclusion:
    """Splits of a folder whose music must not stand in train."""

    folder: Path
    splits: tuple[str, ...]

    def __str__(self) -> str:
        return f"{source_name(self.folder)}:{','.join(self.splits)}"

    def rows(self) -> list[Row]:
        """The pieces meant."""
        return [row for row in list_pieces(self.folder) if row.split in self.splits]


def build(
    folders: Sequence[Path],
    output: Path,
    exclude: Sequence[Exclusion] = (),
    config: BuildConfig | None = None,
    *,
    force: bool = False,
    advance: Advance = lambda done, total: None,  # noqa: ARG005  # tells nobody
) -> dict[str, Any]:
    """Build the shards of `folders` in `output` and return what shards.json says; what a killed call left is used.

    Raises:
        RequestError: if a folder is none or holds no music, two have one name, or there are shards and not `force`.
        FileFormatError: if a manifest cannot be read, or the output cannot be written.
    """
    config = config or BuildConfig()
    if (output / INFO_FILE).exists() and not force:
        raise RequestError(f"{output}: holds shards already; choose another folder or say --force")
    names = [source_name(folder) for folder in folders]
    if len(set(names)) < len(names):
        raise RequestError(f"two folders have one name ({', '.join(sorted(names))}); rename one, it names the source")
    if config.style is not None and not config.restyle and all(name in SOURCES for name in names):
        raise RequestError(f"--style does nothing for {', '.join(names)}, whose pieces have styles; leave it out")
    sources = {name: source_of(name, config.style) for name in names}
    if config.restyle:
        sources = {name: replace(source, style=config.style, n_tracks=()) for name, source in sources.items()}
    rows = [row for folder in folders for row in list_pieces(folder)]
    held_out = {str(e): e.rows() for e in exclude}
    outside = [row for group in held_out.values() for row in group]

    work = WorkFolder(output / WORK)
    jobs = [Job(row, sources[row.source], config.prepare) for row in rows]
    jobs += [Job(row, Source(), config.prepare, compare_only=True) for row in outside]
    prepared = _prepare_all(jobs, work, config, advance)
    own, excluded = prepared[: len(rows)], list(zip(outside, prepared[len(rows) :], strict=True))
    decisions = decide(rows, own, excluded, config.same_piece, config.shares)

    splits: dict[str, list[Piece]] = {split: [] for split in SPLITS}
    for p, split, reason in zip(own, decisions.splits, decisions.reasons, strict=True):
        if not reason:
            assert p.piece is not None
            splits[split].append(p.piece)
    unreadable = {row.name for row, p in excluded if p.reason}
    info = {
        "tokenizer": Remi.name,
        "vocabulary": Remi().vocabulary.fingerprint,
        "chords": config.prepare.chords,
        "sources": {name: _source_info(name, source, rows, own, decisions) for name, source in sources.items()},
        "excluded": {name: _exclusion_info(group, unreadable, decisions) for name, group in held_out.items()},
        **_dropped_info(rows, own, decisions),
        "leaks": {name: [match.name, round(match.share, 3)] for name, match in sorted(decisions.leaks.items())},
        "names": _kept(rows, decisions, lambda row: row.name),
        "titles": _kept(rows, decisions, lambda row: row.title),
    }
    save_shards(output, splits, info)
    if not config.keep_work:
        work.remove()
    return info


def _prepare_all(jobs: Sequence[Job], work: WorkFolder, config: BuildConfig, advance: Advance) -> list[Prepared]:
    """The results of all jobs: those that the folder has, and the others, which it then has too."""
    keys = [job.key for job in jobs]
    new = [i for i, key in enumerate(keys) if key not in work.results]
    done = len(jobs) - len(new)
    advance(done, len(jobs))
    try:
        for at, result in run(prepare, [jobs[i] for i in new], config.prepare.limits, config.workers):
            work.add(keys[new[at]], Prepared(result.reason) if isinstance(result, Failed) else result)
            done += 1
            advance(done, len(jobs))
    finally:
        work.write()
    return [work.results[key] for key in keys]


def _kept(rows: Sequence[Row], decisions: Decisions, what: Callable[[Row], str]) -> dict[str, list[str]]:
    """Something of each kept row, by split."""
    kept: dict[str, list[str]] = {split: [] for split in SPLITS}
    for row, split, reason in zip(rows, decisions.splits, decisions.reasons, strict=True):
        if not reason:
            kept[split].append(what(row))
    return kept


def _source_info(
    name: str, source: Source, rows: Sequence[Row], prepared: Sequence[Prepared], decisions: Decisions
) -> dict[str, Any]:
    """What a model card has to say of a source."""
    counts: dict[str, Counter[str]] = {split: Counter(pieces=0, notes=0, tokens=0) for split in SPLITS}
    styles: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    licences: Counter[str] = Counter()
    keys: dict[str, Counter[str]] = {}
    for row, p, split, reason in zip(rows, prepared, decisions.splits, decisions.reasons, strict=True):
        if row.source == name and not reason:
            assert p.piece is not None
            counts[split] += Counter(pieces=1, notes=p.piece.n_notes, tokens=len(p.piece.ids))
            styles[split][p.style] += 1
            licences[row.licence or source.licence] += 1
            if split == "train":
                keys.setdefault(p.style, Counter()).update(p.piece.keys[:1])
    return {
        "licence": source.licence,
        "credit": source.credit,
        "licences": dict(sorted(licences.items())),
        "counts": {
            split: {**{key: counts[split][key] for key in ("pieces", "notes", "tokens")}, "styles": _by_count(of)}
            for split, of in styles.items()
        },
        "keys": {style: _by_count(of) for style, of in sorted(keys.items())},
    }


def _by_count(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _dropped_info(rows: Sequence[Row], prepared: Sequence[Prepared], decisions: Decisions) -> dict[str, Any]:
    """How many were dropped by source and reason, which, and what more was said of some."""
    names: dict[str, list[str]] = {}
    details = {}
    for row, p, reason in zip(rows, prepared, decisions.reasons, strict=True):
        if reason:
            names.setdefault(f"{row.source}: {reason}", []).append(row.name)
        if p.detail:
            details[row.name] = p.detail
    return {
        "dropped": {reason: len(names[reason]) for reason in sorted(names)},
        "dropped_names": {reason: names[reason] for reason in sorted(names)},
        "dropped_details": dict(sorted(details.items())),
    }


def _exclusion_info(group: Sequence[Row], unreadable: set[str], decisions: Decisions) -> dict[str, int]:
    """How many pieces an exclusion has, how many cannot be read, how many were met in train, by how many pieces."""
    own = {row.name for row in group}
    met = Counter(match.name for match in decisions.leaks.values() if match.name in own)
    return {
        "pieces": len(own),
        "unreadable": len(own & unreadable),
        "met_in_train": len(met),
        "train_pieces_dropped": sum(met.values()),
    }
