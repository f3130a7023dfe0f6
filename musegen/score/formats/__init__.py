"""Files and other libraries' objects <-> Score. `read` and `write` choose the format by the name's suffix."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from musegen.errors import FileFormatError, MusegenWarning
from musegen.score.formats import abc_reader, abc_writer, midi, music21_reader, musicxml_writer, score_json
from musegen.score.formats.atomic import write_bytes
from musegen.score.formats.options import Limits, ReadOptions, WriteOptions
from musegen.score.model import Score

__all__ = [
    "FORMATS", "MIDI_SUFFIXES", "READABLE", "REPEATING", "WRITABLE", "Format", "Limits", "ReadOptions", "WriteOptions",
    "from_bytes", "read", "to_bytes", "write", "write_bytes",
]  # fmt: skip

Warn = Callable[[str], None]


@dataclass(frozen=True)
class Format:
    """One file format: `from_bytes(data, warn, options)` and `to_bytes(score, options, warn)`, None where it has none.

    Both raise FileFormatError; `warn` gets a line for what the other side cannot hold.
    """

    name: str
    from_bytes: Callable[[bytes, Warn, ReadOptions], Score] | None
    to_bytes: Callable[[Score, WriteOptions, Warn], bytes] | None


_MIDI = Format("Standard MIDI file", midi.from_bytes, midi.to_bytes)
_MUSICXML = Format("MusicXML", music21_reader.from_musicxml, musicxml_writer.to_bytes)
FORMATS: dict[str, Format] = {
    ".mid": _MIDI,
    ".midi": _MIDI,
    ".kar": _MIDI,
    ".rmi": Format("RIFF MIDI file", midi.from_bytes, None),
    ".musicxml": _MUSICXML,
    ".xml": _MUSICXML,
    ".mxl": Format("compressed MusicXML", music21_reader.from_mxl, musicxml_writer.to_mxl_bytes),
    ".abc": Format("ABC", abc_reader.from_abc, abc_writer.to_bytes),
    ".krn": Format("Humdrum kern", music21_reader.from_kern, None),
    ".json": Format("musegen's own JSON", score_json.from_bytes, score_json.to_bytes),
}
"""Formats by suffix, in lower case."""
MIDI_SUFFIXES = tuple(suffix for suffix, kind in FORMATS.items() if kind is _MIDI)
REPEATING = (".musicxml", ".xml", ".mxl", ".abc", ".krn")
"""Formats that say repeats."""
READABLE = tuple(suffix for suffix, kind in FORMATS.items() if kind.from_bytes)
WRITABLE = tuple(suffix for suffix, kind in FORMATS.items() if kind.to_bytes)


def read(path: Path | str, *, warn: Warn | None = None, options: ReadOptions | None = None) -> Score:
    """Read a music file.

    `warn` gets a line for what had to be repaired and for what a Score does not hold; by default it becomes a
    MusegenWarning.

    Raises:
        FileFormatError: if the file is not there, cannot be read, is not what its suffix says, or holds more than
            the limits in `options` allow.
    """
    path = Path(path)
    options = options or ReadOptions()
    remarks: list[str] = []
    try:
        from_bytes = _format(path.suffix, READABLE, "reads").from_bytes
        assert from_bytes is not None
        if path.is_file():  # a pipe has no size
            options.limits.check("bytes", path.stat().st_size)
        score = from_bytes(path.read_bytes(), remarks.append, options)
    except FileFormatError as error:
        raise FileFormatError(f"{path}: {error}") from None
    except FileNotFoundError:
        raise FileFormatError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise FileFormatError(f"{path}: is a folder; name a file") from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise FileFormatError(f"{path}: cannot be read ({error})") from None
    for remark in remarks:
        if warn is None:
            warnings.warn(f"{path}: {remark}", MusegenWarning, stacklevel=2)
        else:
            warn(f"{path}: {remark}")
    return score


def write(
    score: Score,
    path: Path | str,
    *,
    force: bool = False,
    warn: Warn | None = None,
    options: WriteOptions | None = None,
) -> None:
    """Write a music file, whole or not at all; missing folders are made.

    `warn` gets a line for what the format cannot hold; by default it becomes a MusegenWarning.

    Raises:
        FileFormatError: if the suffix is unknown, the file exists and not `force`, the Score does not fit the
            format, or the file cannot be written.
    """
    path = Path(path)
    remarks: list[str] = []
    try:
        data = to_bytes(score, path.suffix, warn=remarks.append, options=options)
    except FileFormatError as error:
        raise FileFormatError(f"{path}: {error}") from None
    write_bytes(data, path, force=force)
    for remark in remarks:
        if warn is None:
            warnings.warn(f"{path}: {remark}", MusegenWarning, stacklevel=2)
        else:
            warn(f"{path}: {remark}")


def to_bytes(
    score: Score, suffix: str = ".mid", *, warn: Warn = lambda _: None, options: WriteOptions | None = None
) -> bytes:
    """What `write` would put into a file of this suffix.

    Raises:
        FileFormatError: if the suffix is unknown or the Score does not fit the format.
    """
    writer = _format(suffix, WRITABLE, "writes").to_bytes
    assert writer is not None
    return writer(score, options or WriteOptions(), warn)


def from_bytes(data: bytes, *, warn: Warn = lambda _: None, options: ReadOptions | None = None) -> Score:
    """Read bytes that have no name, such as those of a pipe: what they begin with tells their format.

    Raises:
        FileFormatError: as `read`.
    """
    options = options or ReadOptions()
    options.limits.check("bytes", len(data))
    head = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    suffix = next((suffix for suffix, begins in _MAGIC if head.startswith(begins)), ".mid")
    reader = FORMATS[suffix].from_bytes
    assert reader is not None
    return reader(data, warn, options)


_MAGIC = (
    (".mxl", b"PK\x03\x04"),
    (".json", b"{"),
    (".abc", (b"X:", b"%abc")),
    (".krn", (b"**kern", b"!!!")),
    (".musicxml", (b"<?xml", b"<!DOCTYPE score", b"<score-", b"\xff\xfe<", b"\xfe\xff\0<")),
)
"""How files begin that are no MIDI files."""


def _format(suffix: str, known: tuple[str, ...], does: str) -> Format:
    if suffix.lower() not in known:
        raise FileFormatError(f"unknown suffix {suffix!r}; musegen {does} {', '.join(known)}")
    return FORMATS[suffix.lower()]
