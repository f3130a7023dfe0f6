"""MusicXML and Humdrum kern -> Score, through music21 in a process of its own.

music21 is large and meant for files that one trusts: a short file can keep it busy for hours or fill the memory.
So a child process reads the file, with limits on time and memory, in a temporary folder that goes with it, and
answers with a document of ours (score_json). Whatever happens there becomes one line here.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from musegen.errors import FileFormatError
from musegen.score.formats import mxl, score_json
from musegen.score.formats.options import Limits, ReadOptions
from musegen.score.model import Score

__all__ = ["from_kern", "from_musicxml", "from_mxl"]

_START = "import sys; sys.path[:] = sys.argv.pop(1).split('\\n'); from musegen.score.formats.{} import main; main()"
_START = _START.format("music21_worker")
"""The child finds what we would find (sys.path comes as an argument), though it is isolated (-I) from the rest."""
_SECONDS_TO_START = 10
_ANSWER_BYTES = 256 * 2**20


def from_musicxml(data: bytes, warn: Callable[[str], None], options: ReadOptions) -> Score:
    """Read a MusicXML document, partwise or timewise, in any encoding of XML.

    Raises:
        FileFormatError: if it is none, is unsafe or too much to read, or music21 cannot read it.
    """
    mxl.check_xml(data, options.limits)
    return _read(data, "musicxml", warn, options)


def from_mxl(data: bytes, warn: Callable[[str], None], options: ReadOptions) -> Score:
    """Read a compressed MusicXML file.

    Raises:
        FileFormatError: as `from_musicxml`, or if it cannot be unpacked.
    """
    return from_musicxml(mxl.unpack(data, options.limits), warn, options)


def from_kern(data: bytes, warn: Callable[[str], None], options: ReadOptions) -> Score:
    """Read a Humdrum file with **kern spines.

    Raises:
        FileFormatError: if it is none, is too much to read, or music21 cannot read it.
    """
    _check_text(data, options.limits)
    if b"**kern" not in data:
        raise FileFormatError("not a kern file: no spine begins with **kern")
    return _read(data, "kern", warn, options)


def _check_text(data: bytes, limits: Limits) -> None:
    limits.check("bytes", len(data))
    limits.check("events", len(data.split(maxsplit=limits.events + 1)))  # words: each becomes an object or several
    if b"\0" in data:
        raise FileFormatError("not a text file: it holds zero bytes")


def _read(data: bytes, kind: str, warn: Callable[[str], None], options: ReadOptions) -> Score:
    """Have the child read `data`, which is of the format `kind`."""
    answer = _answer(data, kind, options)
    if not isinstance(answer, dict) or ("score" not in answer and not isinstance(answer.get("error"), str)):
        raise FileFormatError("music21 gave no answer that makes sense; convert the file to MIDI with another program")
    if "error" in answer:
        raise FileFormatError(_line(answer["error"]))
    score = score_json.from_document(answer["score"], warn, options.limits)
    for text in answer.get("warnings", []):
        warn(_line(str(text)))
    return score


def _answer(data: bytes, kind: str, options: ReadOptions) -> Any:
    """What the child answers, parsed; the folder and the child are gone afterwards, whatever happens."""
    limits = options.limits
    with tempfile.TemporaryDirectory(prefix="musegen-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        source, answer, complaints = folder / f"score.{kind}", folder / "answer", folder / "complaints"
        source.write_bytes(data)
        code = _run(source, answer, complaints, options)
        size = answer.stat().st_size
        if size > _ANSWER_BYTES:
            raise FileFormatError(f"too much: music21 makes {size} bytes of the file; cut it into pieces")
        if code != 0 or size == 0:
            raise FileFormatError(_failure(code, complaints, limits))
        roomy = Limits(**{**asdict(limits), "bytes": _ANSWER_BYTES, "events": 10 * limits.events})
        try:
            return score_json.load(answer.read_bytes(), roomy)
        except FileFormatError as error:
            raise FileFormatError(
                f"music21 gave no answer that makes sense ({error}); is it installed whole?"
            ) from None


def _run(source: Path, answer: Path, complaints: Path, options: ReadOptions) -> int:
    """Run the child to its end and return its exit code; kill it and its children when time is up."""
    settings = json.dumps({"repeats": options.repeats, "limits": asdict(options.limits), "answer": _ANSWER_BYTES})
    path = "\n".join(os.path.abspath(entry or ".") for entry in sys.path)  # noqa: PTH100  # sys.path holds strings
    command = [sys.executable, "-I", "-c", _START, path, str(source), settings]
    process = None
    with answer.open("wb") as out, complaints.open("wb") as err:
        try:
            process = subprocess.Popen(  # noqa: S603  # our own interpreter and worker
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=source.parent,
                env=_environment(source.parent),
                start_new_session=True,
            )
            return process.wait(timeout=options.limits.read_seconds + _SECONDS_TO_START)
        except subprocess.TimeoutExpired:
            raise FileFormatError(_too_slow(options.limits)) from None
        except OSError as error:
            raise FileFormatError(f"cannot start {sys.executable} to read the file ({error.strerror})") from None
        finally:
            if process is not None and process.poll() is None:
                _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the child and whatever it started; it leads a group of its own."""
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)  # not reaped yet, so the number is still its own
    else:
        process.kill()
    process.wait()


def _environment(folder: Path) -> dict[str, str]:
    """Our environment, but for a home without music21's settings and for libraries that would start threads."""
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
    homes = ("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")
    temporary = ("TMPDIR", "TEMP", "TMP")
    return {**os.environ, **dict.fromkeys(threads, "1"), **dict.fromkeys((*homes, *temporary), str(folder))}


def _too_slow(limits: Limits) -> str:
    seconds = limits.read_seconds
    return (
        f"music21 needs more than {seconds} seconds to read the file (--limit read_seconds={4 * seconds} allows more)"
    )


def _failure(code: int, complaints: Path, limits: Limits) -> str:
    """Why a child that did not answer ended."""
    if code in {-getattr(signal, name) for name in ("SIGXCPU", "SIGALRM") if hasattr(signal, name)}:
        return _too_slow(limits)
    if code < 0:
        return f"reading was stopped by signal {-code}; is there enough memory?"
    last = complaints.read_text("utf-8", "replace").strip().splitlines()[-1:]
    return _line(f"music21 could not be run ({last[0] if last else f'exit code {code}'}); is it installed whole?")


def _line(text: str) -> str:
    """At most 500 characters in one line."""
    return " ".join(text.split())[:500]
