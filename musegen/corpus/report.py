"""What is said of built shards: kept by split and style, dropped by reason, held-out music met, licences."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from musegen.corpus.manifest import SPLITS

Info = dict[str, Any]
"""What shards.json holds."""


@dataclass(frozen=True)
class Table:
    """A table of words and whole numbers."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str | int, ...]]


def tables(info: Info) -> list[Table]:
    """All that there is to say, as tables; those without a row are left out."""
    return [table for table in (_kept(info), _styles(info), _dropped(info), _met(info), _licences(info)) if table.rows]


def _kept(info: Info) -> Table:
    columns = ("pieces", "notes", "tokens")
    rows: list[tuple[str | int, ...]] = [
        (name, split, *(source["counts"][split][column] for column in columns))
        for name, source in info["sources"].items()
        for split in SPLITS
    ]
    for split in SPLITS:
        own = [row for row in rows if row[1] == split]
        rows.append(("all", split, *(sum(int(row[i]) for row in own) for i in (2, 3, 4))))
    return Table("kept", ("source", "split", *columns), rows)


def _styles(info: Info) -> Table:
    totals: dict[str, Counter[str]] = {split: Counter() for split in SPLITS}
    for source in info["sources"].values():
        for split in SPLITS:
            totals[split].update(source["counts"][split]["styles"])
    names = sorted(set().union(*totals.values()), key=lambda style: (-totals["train"][style], style))
    return Table("styles", ("style", *SPLITS), [(n or "none said", *(totals[s][n] for s in SPLITS)) for n in names])


def _dropped(info: Info) -> Table:
    rows = [(*key.split(": ", 1), count) for key, count in info["dropped"].items()]
    return Table("left out", ("source", "reason", "files"), rows)


def _met(info: Info) -> Table:
    rows = [(name, *counts.values()) for name, counts in info["excluded"].items()]
    columns = ("excluded", "pieces", "unreadable", "met in train", "train pieces left out")
    return Table("music kept out of train", columns, rows)


def _licences(info: Info) -> Table:
    rows = [
        (name, licence, count)
        for name, source in info["sources"].items()
        for licence, count in source["licences"].items()
    ]
    return Table("licences", ("source", "licence", "pieces"), rows)
