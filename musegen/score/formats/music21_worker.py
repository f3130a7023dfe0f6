"""The process in which music21 reads a file; music21_reader starts it.

Called with the path of the file, whose suffix says its format, and the settings as JSON. It answers on stdout with
one JSON document: {"score": ..., "warnings": [...]} or {"error": ...}.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import warnings
from pathlib import Path

from musegen.errors import FileFormatError
from musegen.score.formats import score_json
from musegen.score.formats.options import Limits, ReadOptions, WriteOptions


def main() -> None:
    """Read the file that the command line names, answer, and exit."""
    source, settings = Path(sys.argv[1]), json.loads(sys.argv[2])
    options = ReadOptions(limits=Limits(**settings["limits"]), repeats=settings["repeats"])
    limit_process(options.limits, settings["answer"])
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not mix with the answer
    out.write(answer(source, options))
    out.flush()
    os._exit(0)  # nothing to tidy up, and freeing music21's objects takes its time


def limit_process(limits: Limits, answer_bytes: int) -> None:
    """Bound this process's memory, computing time, age and files, where the system can."""
    try:
        import resource
    except ImportError:  # Windows; the parent's clock remains
        return
    bounds = {
        resource.RLIMIT_AS: limits.read_bytes,
        resource.RLIMIT_CPU: limits.read_seconds,
        resource.RLIMIT_FSIZE: answer_bytes,
        resource.RLIMIT_CORE: 0,
    }
    for kind, bound in bounds.items():
        highest = resource.getrlimit(kind)[1]
        soft, hard = bound, bound + 1  # a process past the hard bound on its time does not hear why it ends
        if highest != resource.RLIM_INFINITY:
            soft, hard = min(soft, highest), min(hard, highest)
        with contextlib.suppress(ValueError, OSError):  # macOS has no bound on memory
            resource.setrlimit(kind, (soft, hard))
    signal.alarm(limits.read_seconds + 30)  # should the parent be gone and nobody look at the clock


def answer(source: Path, options: ReadOptions) -> bytes:
    """The answer's bytes; every failure is one of its lines."""
    said: list[str] = []
    try:
        from musegen.score.formats.music21_files import read_file  # music21 itself, under the limits

        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            score = read_file(source, said.append, options)
        data = score_json.to_bytes(score, WriteOptions())
    except FileFormatError as error:
        return _error(str(error))
    except MemoryError:
        return _error(f"music21 needs more than {options.limits.read_bytes} bytes of memory to read the file "
                      f"(--limit read_bytes={4 * options.limits.read_bytes} allows more)")  # fmt: skip
    except RecursionError:
        return _error("the file nests too deeply for music21; convert it to MIDI with another program")
    except Exception as error:  # noqa: BLE001  # music21 raises whatever it meets on its way; the parent names it
        return _error(f"music21 cannot read it ({type(error).__name__}: {str(error)[:200]})")
    said += _of_music21([str(warning.message) for warning in caught])
    return b'{"score": ' + data + b', "warnings": ' + json.dumps(said).encode() + b"}"


def _error(text: str) -> bytes:
    return json.dumps({"error": text}).encode()


def _of_music21(texts: list[str]) -> list[str]:
    """One line for all that music21 complained about."""
    if not texts:
        return []
    first = " ".join(texts[0].split())
    return [f"music21 gave {len(texts)} warning(s), the first: {first[:120]}"]
