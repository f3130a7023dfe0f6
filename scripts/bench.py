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

import argparse
import json
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from benchmarks.common import Benchmark  # the folder beside this script

COMMANDS = ("decode", "step", "length", "quality", "tokens", "compound", "files", "songs", "start")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of them."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if not words or words[0] not in COMMANDS:
        print(__doc__)
        return 0 if words in (["-h"], ["--help"]) else 2
    benchmark: Benchmark = import_module(f"benchmarks.{words[0]}")  # alone: what the others load takes memory
    parser = argparse.ArgumentParser(f"bench.py {words[0]}", description=benchmark.__doc__)
    benchmark.arguments(parser)
    parser.add_argument("--json", type=Path, help="write the figures there")
    options = parser.parse_args(words[1:])
    result = benchmark.measure(options)
    print("\n".join(benchmark.table(result)))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
