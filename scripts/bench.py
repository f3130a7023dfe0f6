"""How fast musegen decodes, tokenises, reads and writes on this machine, beside other programs, in one run.

    python scripts/bench.py decode      tokens and notes a second, beside other decoders and the machine's bounds
    python scripts/bench.py step        microseconds a token: network, rules, draw, state
    python scripts/bench.py length      the time of a bar over a piece of 256
    python scripts/bench.py quality SHARDS          what 8 bits cost in likelihood, on valid
    python scripts/bench.py tokens FOLDER...        notes a second to ids and back, beside MidiTok
    python scripts/bench.py compound FOLDER...      steps a note of several representations
    python scripts/bench.py files FOLDER...         MIDI files a second, beside other libraries
    python scripts/bench.py songs       songs a minute by `musegen batch` and `compose -n`
    python scripts/bench.py start       what a call of `musegen compose --bars 8` takes, by parts

Each has options (`decode --help`), writes its table to stdout in Markdown, and its figures to --json. Programs take
turns, --rounds times; a figure is the median of the rounds. Peers that are missing are left out (`pip install
musegen[bench]`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from benchmarks.common import run_command  # the folder beside this script

COMMANDS = ("decode", "step", "length", "quality", "tokens", "compound", "files", "songs", "start")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of them."""
    return run_command("benchmarks", COMMANDS, __doc__ or "", sys.argv[1:] if arguments is None else arguments)


if __name__ == "__main__":
    sys.exit(main())
