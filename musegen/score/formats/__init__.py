"""Files and other libraries' objects <-> Score. `read` and `write` choose the format by the name's suffix."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from musegen.errors import FileFormatError, MusegenWarning
from musegen.score.formats import midi
from musegen.score.formats.atomic import write_bytes
from musegen.score.model import Score

__all__ = ["FORMATS", "Format", "read", "to_bytes", "write", "write_bytes"]


@dataclass(frozen=True)
class Format:
    """One file format: `from_bytes(data, warn)` and `to_bytes(score)`; both raise FileFormatError."""

    name: str
    from_bytes: Callable[[bytes, Callable[[str], None]], Score]
    to_bytes: Callable[[Score], bytes]


_MIDI = Format("Standard MIDI file", midi.from_bytes, midi.to_bytes)
FORMATS: dict[str, Format] = {".mid": _MIDI, ".midi": _MIDI}
"""Formats by suffix, in lower case."""


def read(path: Path | str, *, warn: Callable[[str], None] | None = None) -> Score:
    """Read a music file.

    `warn` gets a line for what the file holds and a Score does not; by default it becomes a MusegenWarning.

    Raises:
        FileFormatError: if the file is not there, cannot be read, or is not what its suffix says.
    """
    path = Path(path)
    file_format = _format(path)

    def tell(text: str) -> None:
        if warn is None:
            warnings.warn(f"{path}: {text}", MusegenWarning, stacklevel=4)
        else:
            warn(f"{path}: {text}")

    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise FileFormatError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise FileFormatError(f"{path}: is a folder; name a file") from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise FileFormatError(f"{path}: cannot be read ({error})") from None
    try:
        return file_format.from_bytes(data, tell)
    except FileFormatError as error:
        raise FileFormatError(f"{path}: {error}") from None


def write(score: Score, path: Path | str, *, force: bool = False) -> None:
    """Write a music file, whole or not at all; missing folders are made.

    Raises:
        FileFormatError: if the suffix is unknown, the file exists and not `force`, the Score does not fit the
            format, or the file cannot be written.
    """
    path = Path(path)
    file_format = _format(path)
    try:
        data = file_format.to_bytes(score)
    except FileFormatError as error:
        raise FileFormatError(f"{path}: {error}") from None
    write_bytes(data, path, force=force)


def to_bytes(score: Score, suffix: str = ".mid") -> bytes:
    """What `write` would put into a file of this suffix.

    Raises:
        FileFormatError: if the suffix is unknown or the Score does not fit the format.
    """
    return _format(Path(f"x{suffix}")).to_bytes(score)


def _format(path: Path) -> Format:
    file_format = FORMATS.get(path.suffix.lower())
    if file_format is None:
        raise FileFormatError(f"{path}: unknown suffix {path.suffix!r}; musegen knows {', '.join(FORMATS)}")
    return file_format
