"""The list of a folder's pieces: a manifest.csv beside the music files."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from musegen.errors import FileFormatError, RequestError

SPLITS = ("train", "valid", "test")
REQUIRED_COLUMNS = ("path", "title", "licence", "split")


@dataclass(frozen=True)
class Source:
    """What a folder holds, as its pieces and the model card of a trained model name it.

    `n_tracks` lists the track counts that belong to the style; other pieces are dropped, with that reason.
    """

    style: str
    licence: str
    credit: str
    n_tracks: tuple[int, ...]
    mechanical_velocities: bool = False
    """Velocities that the conversion to MIDI put in by rule (abc2midi's accents on the beat): levelled, so that
    no tokens are spent on them."""


SOURCES: dict[str, Source] = {
    "folk": Source(
        style="folk",
        licence="tunes traditional (public domain); encodings redistributed by music21 with the permission of "
        "their encoders, no explicit open licence",
        credit="O'Neill's Music of Ireland (1903), Ryan's Mammoth Collection (1883), Aird's Airs (1778-1801), "
        "Northumbrian and fife collections, from the corpus of music21 (Michael Scott Asato Cuthbert and others)",
        n_tracks=(1,),
        mechanical_velocities=True,
    ),
    "openhymnal": Source(
        style="hymn",
        licence="public domain, stated in each file",
        credit="Open Hymnal Project (openhymnal.org)",
        n_tracks=(4,),
    ),
    "bach_m21": Source(
        style="chorale",
        licence="music public domain; no open licence on the encodings, which music21 redistributes",
        credit="J. S. Bach's four-part chorales, encoded by Margaret Greentree and others, from the corpus of "
        "music21 (Michael Scott Asato Cuthbert and others)",
        n_tracks=(4,),
    ),
}
"""Known sources by folder name: a choice by name, so another source is one more entry."""


@dataclass(frozen=True)
class Row:
    """One piece of a manifest; `file` is where it lies, `tags` the marks of the extra column."""

    file: Path
    source: str
    title: str
    licence: str
    split: str
    tags: frozenset[str]

    @property
    def name(self) -> str:
        """The file's name under its source, the same on every machine."""
        parts = self.file.parts
        return "/".join(parts[parts.index(self.source) :]) if self.source in parts else self.file.name


def find_source(folder: Path) -> Source:
    """The Source of a folder, by the folder's name.

    Raises:
        RequestError: if no source has that name.
    """
    if folder.name not in SOURCES:
        raise RequestError(f"unknown source {folder.name!r}; known folder names: {', '.join(SOURCES)}")
    return SOURCES[folder.name]


def read_manifest(folder: Path) -> list[Row]:
    """Return the rows of `folder`/manifest.csv in file order.

    A path in it counts from the folder or from the folder's parent, whichever holds the file.

    Raises:
        FileFormatError: if the manifest is missing, lacks a column or names an unknown split.
    """
    path = folder / "manifest.csv"
    if not path.is_file():
        raise FileFormatError(f"{path}: no such manifest; give a folder that holds a manifest.csv")
    with path.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        missing = [name for name in REQUIRED_COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise FileFormatError(f"{path}: no column {', '.join(missing)}")
        records = list(reader)
    rows = []
    for line, record in enumerate(records, start=2):
        if record["split"] not in SPLITS:
            raise FileFormatError(f"{path} line {line}: split {record['split']!r} is none of {', '.join(SPLITS)}")
        rows.append(
            Row(
                file=_locate(folder, record["path"]),
                source=folder.name,
                title=record["title"],
                licence=record["licence"],
                split=record["split"],
                tags=frozenset(tag.strip() for tag in (record.get("extra") or "").split(";")) - {""},
            )
        )
    return rows


def _locate(folder: Path, path: str) -> Path:
    inside = folder / path
    return inside if inside.is_file() else folder.parent / path
