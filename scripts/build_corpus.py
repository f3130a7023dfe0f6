"""Build training shards from folders of MIDI files with a manifest.csv each.

    python scripts/build_corpus.py data/folk data/openhymnal data/bach_m21 --exclude data/jsb:valid,test -o shards

Each folder's name says what it is (see musegen/corpus/manifest.py). What is left out is counted below and named
in shards.json.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from musegen.corpus.build import BuildConfig, Exclusion, build
from musegen.corpus.manifest import SPLITS
from musegen.errors import MusegenError


def exclusion(text: str) -> Exclusion:
    """Parse FOLDER:SPLIT[,SPLIT]."""
    folder, colon, splits = text.rpartition(":")
    names = tuple(splits.split(","))
    if not colon or not set(names) <= set(SPLITS):
        raise argparse.ArgumentTypeError(f"{text!r}: write FOLDER:SPLIT[,SPLIT], splits from {', '.join(SPLITS)}")
    return Exclusion(Path(folder), names)


def main() -> int:
    """Parse, build, report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path, help="folders that hold a manifest.csv")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder for the shards")
    parser.add_argument(
        "--exclude", type=exclusion, action="append", default=[], metavar="FOLDER:SPLIT[,SPLIT]",
        help="keep the music of these splits out of train, found by its notes in any key",
    )  # fmt: skip
    parser.add_argument("--workers", type=int, default=2, help="processes (default 2)")
    options = parser.parse_args()
    try:
        info = build(options.folders, options.output, options.exclude, BuildConfig(workers=options.workers))
    except MusegenError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for name, source in info["sources"].items():
        for split, counts in source["counts"].items():
            print(f"{name:12s} {split:6s}", "  ".join(f"{key} {value:,}" for key, value in counts.items()))
    for name, counts in info["excluded"].items():
        print(f"excluded {name}:", "  ".join(f"{key} {value}" for key, value in counts.items()))
    for reason, count in info["dropped"].items():
        print(f"dropped {count:5d}  {reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
