"""Writing a file whole or not at all."""

from __future__ import annotations

import os
import tempfile
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
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name[:100]}.", suffix=".tmp", dir=path.parent)
    except OSError as error:
        raise _cannot_write(path, error) from None
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            temporary.chmod(0o666 & ~_UMASK)  # a temporary file is private otherwise
            file.write(data)
            file.flush()
            os.fsync(handle)
        temporary.replace(path)
    except OSError as error:
        raise _cannot_write(path, error) from None
    finally:
        temporary.unlink(missing_ok=True)


def _cannot_write(path: Path, error: OSError) -> FileFormatError:
    return FileFormatError(f"{path}: cannot be written ({error.strerror})")


def _umask() -> int:
    umask = os.umask(0)
    os.umask(umask)
    return umask


_UMASK = _umask()  # asked once: to ask is to change it for a moment
