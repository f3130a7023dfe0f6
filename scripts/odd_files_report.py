"""What `musegen info` makes of every odd file of the tests, each in a process of its own.

    python scripts/odd_files_report.py [--markdown] [--only KIND]

A process may take 10 s and 1 GB of address space. It must end without a signal and without a traceback, with 0 or 2,
with nothing on stderr or with one line that says why; the notes, the seconds and the warnings must be those that the
catalogue states. The table counts, for each kind, what was loaded, refused and wrong; what is wrong is listed below it.
The exit code is 1 if anything is.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tests.score.formats.odd_bytes import OddFile

SECONDS = 10
BYTES = 2**30
HEAD = ("kind", "n", "expected", "loaded", "refused", "wrong")


@dataclass(frozen=True)
class Outcome:
    """What became of a file: "loaded" or "refused", the fault if there is one, and what it cost."""

    got: str
    fault: str
    seconds: float
    megabytes: float


@click.command(help=__doc__)
@click.option("--markdown", is_flag=True, help="The table in Markdown.")
@click.option("--only", default="", help="Only kinds that begin so.")
def main(markdown: bool, only: str) -> None:
    """Run every file and print the table."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the catalogue belongs to the tests
    from tests.score.formats.odd_files import FILES

    outcomes = {}
    with tempfile.TemporaryDirectory() as folder:
        for file in FILES:
            if file.kind.startswith(only):
                outcomes[file] = run(file, Path(folder))
    print(table(rows(outcomes), markdown=markdown))
    faults = [f"{file.kind}: {file.name}: {outcome.fault}" for file, outcome in outcomes.items() if outcome.fault]
    print("".join(f"\n{'- ' * markdown}{fault}" for fault in faults))
    slowest = max(outcome.seconds for outcome in outcomes.values())
    largest = max(outcome.megabytes for outcome in outcomes.values())
    print(f"The slowest took {slowest:.2f} s, the largest {largest:.0f} MB of memory.")
    sys.exit(bool(faults))


def run(file: OddFile, folder: Path) -> Outcome:
    """What `musegen --json info` makes of a file."""
    path, out, said = folder / f"odd{file.suffix}", folder / "out", folder / "said"
    path.write_bytes(file.data)
    began = os.times().elapsed
    with out.open("wb") as stdout, said.open("wb") as stderr:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # each thread reserves memory
        process = subprocess.Popen(  # noqa: S603  # our own command
            [sys.executable, "-m", "musegen", "--json", "info", str(path)],
            stdout=stdout,
            stderr=stderr,
            env=environment,
            preexec_fn=_limited,  # noqa: PLW1509  # there is one thread here
        )
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    outcome = judge(file, process.returncode, out.read_text(errors="replace"), said.read_text(errors="replace"))
    return Outcome(*outcome, os.times().elapsed - began, usage.ru_maxrss / 1024)


def _limited() -> None:
    """Called in the new process; SIGALRM, which nothing in it catches, ends it in time."""
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    signal.alarm(SECONDS)


def judge(file: OddFile, code: int, out: str, said: str) -> tuple[str, str]:
    """Loaded or refused, and what is wrong with it."""
    if code < 0:
        return "refused", f"killed by signal {-code}"
    if "Traceback" in said:
        return "refused", "a traceback"
    if code == 2:
        lines = said.count("\n")
        one_line = lines == 1 and said.startswith("musegen: ") and not out
        return "refused", file.fault(None, 0, []) if one_line else f"{lines} lines on stderr"
    if code:
        return "refused", f"exit code {code}"
    if said:
        return "loaded", "a word on stderr"
    record = json.loads(out)
    return "loaded", file.fault(record["notes"], record["seconds"], record["warnings"])


def rows(outcomes: dict[OddFile, Outcome]) -> list[tuple[str, ...]]:
    """A row for each kind and expectation, then one for each expectation, then the total."""
    groups: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    expected: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for file, outcome in outcomes.items():
        groups[file.kind, file.expected].append(outcome)
        expected["all", file.expected].append(outcome)
    result = [_row(kind, said, found) for (kind, said), found in [*groups.items(), *sorted(expected.items())]]
    return [*result, _row("all", "", outcomes.values())]


def _row(kind: str, expected: str, outcomes: Iterable[Outcome]) -> tuple[str, ...]:
    count = Counter("wrong" if outcome.fault else outcome.got for outcome in outcomes)
    return kind, str(count.total()), expected, *(str(count[got] or "") for got in HEAD[3:])


def table(body: list[tuple[str, ...]], *, markdown: bool) -> str:
    """The rows under their head."""
    if markdown:
        lines = [" | ".join(row) for row in (HEAD, ("---", "---:", "---", "---:", "---:", "---:"), *body)]
        return "\n".join(f"| {line} |" for line in lines)
    widths = [max(len(row[n]) for row in (HEAD, *body)) for n in range(len(HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (HEAD, *body)]
    return "\n".join(map(str.rstrip, lines))


if __name__ == "__main__":
    main()
