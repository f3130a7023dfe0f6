"""The list of a folder's pieces: a manifest.csv beside the music files, or else all files that are found."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from musegen.errors import FileFormatError, RequestError
from musegen.score.formats import READABLE

SPLITS = ("train", "valid", "test")
REQUIRED_COLUMNS = ("path", "title", "licence", "split")
MANIFEST = "manifest.csv"


@dataclass(frozen=True)
class Row:
    """One piece of a folder.

    Attributes:
        file: where it lies.
        name: the file's name under its source, the same on every machine.
        source: the folder's name.
        title: of the piece; the file's name where there is no manifest.
        licence: as the manifest states it, "" where it does not.
        split: one of SPLITS, or "" where the piece's notes are to tell.
        tags: the marks of the manifest's extra column.
    """

    file: Path
    name: str
    source: str
    title: str
    licence: str
    split: str
    tags: frozenset[str]


def list_pieces(folder: Path) -> list[Row]:
    """The rows of the folder's manifest if it has one, else a row for each readable file below it, sorted.

    Raises:
        RequestError: if there is no folder, or no piece in it.
        FileFormatError: as `read_manifest`.
    """
    if not folder.is_dir():
        raise RequestError(f"{folder}: no such folder; name folders of music files")
    if (folder / MANIFEST).is_file():
        return read_manifest(folder)
    source = source_name(folder)
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in READABLE and p.is_file())
    if not files:
        raise RequestError(f"{folder}: holds no music file; musegen reads {', '.join(READABLE)}")
    return [
        Row(file, f"{source}/{file.relative_to(folder).as_posix()}", source, file.stem, "", "", frozenset())
        for file in files
    ]


def source_name(folder: Path) -> str:
    """The name of a folder, which is that of its source, however the folder is written."""
    return folder.absolute().name


def read_manifest(folder: Path) -> list[Row]:
    """Return the rows of `folder`/manifest.csv in file order.

    A path in it counts from the folder or from the folder's parent, whichever holds the file. An empty split is
    left to the piece's notes.

    Raises:
        FileFormatError: if the manifest is missing, lacks a column or names an unknown split.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise FileFormatError(f"{path}: no such manifest; give a folder that holds a {MANIFEST}")
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            missing = [name for name in REQUIRED_COLUMNS if name not in (reader.fieldnames or ())]
            records = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise FileFormatError(f"{path}: cannot be read ({error})") from None
    if missing:
        raise FileFormatError(f"{path}: no column {', '.join(missing)}")
    rows, source = [], source_name(folder)
    above = folder.parent if folder.name else folder.absolute().parent  # "." is its own parent
    for line, record in enumerate(records, start=2):
        if record["split"] not in (*SPLITS, "", None):
            raise FileFormatError(f"{path} line {line}: split {record['split']!r} is none of {', '.join(SPLITS)}")
        listed = record["path"] or ""
        inside = (folder / listed).is_file()
        rows.append(
            Row(
                file=folder / listed if inside else above / listed,
                name=f"{source}/{listed}" if inside else listed,
                source=source,
                title=record["title"] or "",
                licence=record["licence"] or "",
                split=record["split"] or "",
                tags=frozenset(tag.strip() for tag in (record.get("extra") or "").split(";")) - {""},
            )
        )
    return rows
