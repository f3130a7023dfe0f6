"""Many pieces at once: which files there are, and a function over all of them in processes.

One file that cannot be read does not stop the rest: it is named with the reason.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

from musegen.errors import MusegenError, RequestError
from musegen.score.formats import READABLE, read
from musegen.score.model import Score

T = TypeVar("T")

_CHUNK = 32
"""Files sent to a process at once; fewer files than that are quicker without a second process."""


def music_files(paths: Iterable[Path | str]) -> list[Path]:
    """The files named, and in folders all files below with a suffix that musegen reads, sorted; each once.

    Raises:
        RequestError: for a folder without such a file, a folder that is not there, or nothing named. A file that is
            not there is left to its reader, which names it.
    """
    found: dict[Path, None] = {}
    for path in map(Path, paths):
        if path.suffix.lower() not in READABLE and not path.exists():
            raise RequestError(f"{path}: no such file or folder; check the name")
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in READABLE and p.is_file())
        if path.is_dir() and not inside:
            raise RequestError(f"{path}: holds no music file; musegen reads {', '.join(READABLE)}")
        found.update(dict.fromkeys(inside if path.is_dir() else [path]))
    if not found:
        raise RequestError("no file and no folder named; name at least one")
    return list(found)


def map_files(
    function: Callable[[Score], T], paths: Sequence[Path | str], *, workers: int = 1
) -> tuple[dict[str, T], dict[str, str]]:
    """`function` of the piece in each file: (path -> result, path -> why there is none), both in the order of `paths`.

    A file that cannot be read, or a piece that `function` refuses with a MusegenError, has a reason. What reading
    repairs is not told here (`musegen info` tells it). With more than one of `workers`, `function` must be picklable.
    """
    files = [str(path) for path in paths]
    chunks = [files[i : i + _CHUNK] for i in range(0, len(files), _CHUNK)]
    if workers <= 1 or len(chunks) <= 1:
        answers = [_answer(function, file) for file in files]
    else:
        with ProcessPoolExecutor(
            min(workers, len(chunks)),
            mp_context=get_context("spawn"),
            initializer=signal.signal,  # an interrupt is for the process that the user started to tell
            initargs=(signal.SIGINT, signal.SIG_IGN),
        ) as pool:
            answers = [a for chunk in pool.map(partial(_answers, function), chunks) for a in chunk]
    results = {file: answer[0] for file, answer in zip(files, answers, strict=True) if isinstance(answer, tuple)}
    reasons = {file: answer for file, answer in zip(files, answers, strict=True) if isinstance(answer, str)}
    return results, reasons


def _answers(function: Callable[[Score], T], files: Sequence[str]) -> list[tuple[T] | str]:
    return [_answer(function, file) for file in files]


def _answer(function: Callable[[Score], T], file: str) -> tuple[T] | str:
    """The result in a tuple of one, or the reason."""
    try:
        return (function(read(file, warn=_ignore)),)
    except MusegenError as error:
        return str(error).removeprefix(f"{file}: ")


def _ignore(text: str) -> None:
    """What was repaired in a file does not matter here."""
