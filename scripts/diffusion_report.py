"""How good the diffusion model is, and what each step buys, on this machine.

    python scripts/diffusion_report.py likelihood SHARDS        bits a roll, nats a note of each source, valid and test
    python scripts/diffusion_report.py steps SHARDS             samplers, steps, schedules, churn, guidance: quality
    python scripts/diffusion_report.py quality SHARDS           is it told from real music, beside the transformer
    python scripts/diffusion_report.py speed                    seconds a clip and memory, beside a U-Net
    python scripts/diffusion_report.py uses SHARDS              filled in, continued, harmonized: what stands, seams
    python scripts/diffusion_report.py sheet SHARDS OUT.png     generated clips beside real ones, as pictures

Each has options (`steps --help`), writes tables in Markdown to stdout, and its figures to --json. A clip is so many
bars of one metre on the grid of piano rolls, moved to C; real ones and those of the transformer go through the same
grid. Peers that are missing are left out (`pip install musegen[bench]`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from benchmarks.common import run_command  # a folder beside this script, as diffusion_reports is

COMMANDS = ("likelihood", "steps", "quality", "speed", "uses", "sheet")


def _of_all(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-m", "--model", default="diffusion", help="a shipped model or a .safetensors file")
    parser.add_argument("--threads", type=int, default=1, help="to compute with (default 1)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one of them."""
    words = sys.argv[1:] if arguments is None else arguments
    return run_command("diffusion_reports", COMMANDS, __doc__ or "", words, _of_all)


if __name__ == "__main__":
    sys.exit(main())
