"""Files as music21 reads them, put right before and after: run by music21_worker, in a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from musegen.score.formats.music21_bridge import from_music21
from musegen.score.formats.music21_parts import KEPT
from musegen.score.formats.musicxml_prepare import prepare
from musegen.score.formats.options import ReadOptions
from musegen.score.formats.parts import MADE
from musegen.score.model import Score, Text

Warn = Callable[[str], None]


def read_file(source: Path, warn: Warn, options: ReadOptions) -> Score:
    """The Score of a file whose suffix (.musicxml, .kern) says its format.

    Raises:
        FileFormatError: if there is no music in it.
        Exception: whatever music21 raises.
    """
    return _READERS[source.suffix](source, warn, options)


def _musicxml(source: Path, warn: Warn, options: ReadOptions) -> Score:
    from music21.musicxml.xmlToM21 import MusicXMLImporter

    root, instruments = prepare(ET.parse(source).getroot(), warn)  # noqa: S314  # check_xml has passed it
    importer = MusicXMLImporter()
    importer.xmlRoot = root
    importer.xmlRootToScore(root, importer.stream)
    score = importer.stream
    kept = []
    for part in score.parts:
        names = [str(group).partition("-Staff")[0] for group in part.groups]
        kept.append(next((instruments[name] for name in names if name in instruments), {}))
    made = root.findtext(f"identification/miscellaneous/miscellaneous-field[@name='{MADE.strip()}']", "").strip()
    score = _played(score, kept, warn, options)
    return replace(score, texts=(*score.texts, Text(0, MADE + made))) if made else score


def _played(stream: Any, kept: list[dict[str, Any]], warn: Warn, options: ReadOptions) -> Score:
    """The Score of a stream, its repeats played out if that is asked for and can be done."""
    from music21 import exceptions21

    if options.repeats:
        try:
            stream = stream.expandRepeats()
        except exceptions21.Music21Exception as error:
            warn(f"the repeats cannot be played out ({str(error)[:100]}); read as written")
    for part, own in zip(stream.parts, kept, strict=False):
        if own:
            part.editorial[KEPT] = own
    return from_music21(stream, warn=warn, notated=True)


def _kern(source: Path, warn: Warn, options: ReadOptions) -> Score:
    from music21.humdrum.spineParser import HumdrumDataCollection

    collection = HumdrumDataCollection(_text(source))
    collection.parse()
    return _played(collection.stream, [], warn, options)


def _text(source: Path) -> str:
    """UTF-8, or Latin-1 where it is not, which takes every byte; line ends as Python has them."""
    data = source.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")


_READERS = {".musicxml": _musicxml, ".kern": _kern}
