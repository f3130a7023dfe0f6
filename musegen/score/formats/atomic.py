"""Writing a file whole or not at all."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from musegen.errors import FileFormatError


def write_bytes(data: bytes, path: Path | str, *, force: bool = False) -> None:
    """Put `data` at `path`: first under a temporary name in the same folder, then in one step in its place.

    Missing folders are made. Whoever reads `path` sees the whole file or none, whenever this is interrupted.

    Raises:
        FileFormatError: if the file exists and not `force`, or it cannot be written.
    """
    path = Path(path)
    if path.is_dir():
        raise FileFormatError(f"{path}: is a folder; name a file")
    if path.exists() and not force:
        raise FileFormatError(f"{path}: exists already; say --force (force=True) to overwrite it")
    temporary = temporary_name(path)
    try:  # a signal may come at any moment, so the name is settled before there is a file
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise _cannot_write(path, error) from None
    finally:
        with suppress(OSError):
            temporary.unlink()


def temporary_name(path: Path) -> Path:
    """A new name beside `path`, `.NAME.xxxxxxxx.tmp`, by which what a killed process left can be told from others'."""
    return path.parent / f".{path.name[:60]}.{secrets.token_hex(4)}.tmp"  # 60 characters may be 240 bytes, of 255


def _cannot_write(path: Path, error: OSError) -> FileFormatError:
    return FileFormatError(f"{path}: cannot be written ({error.strerror})")
