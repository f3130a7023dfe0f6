"""Train a model on shards for a given time and ship it: weights of half precision and a model card.

    python scripts/train_pretrained.py shards --preset small --budget 50m --run runs/transformer --name transformer
    python scripts/train_pretrained.py shards --run runs/transformer --name transformer --ship-only

This is `musegen train` for machines that have torch, NumPy and safetensors only; it takes an accelerator if there is
one. A run that was killed or stopped goes on when the same command is given again. Without --name nothing is shipped.
From a machine that lets only small files out, --export writes the averaged weights in parts; --import ships from those
parts elsewhere:

    python scripts/train_pretrained.py shards --preset ship --budget 8m --run /tmp/run --export parts
    python scripts/train_pretrained.py shards --run runs/ship --import parts --name ship

Several processes: torchrun --nproc-per-node 2 -- scripts/train_pretrained.py ... (with --fsdp, weights cut over them;
without --, torchrun takes --run for its own).
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from musegen.corpus.manifest import SPLITS
from musegen.corpus.shards import load_info, load_split
from musegen.errors import ModelError, MusegenError
from musegen.evaluate.likelihood import Likelihood
from musegen.shapes import PRESETS
from musegen.tokens import Remi
from musegen.train.config import parse_seconds
from musegen.train.curve import CURVE_FILE, LOG_FILE, draw_curve
from musegen.train.distributed import DEVICES, Place, joined, whole
from musegen.train.loader import default_workers
from musegen.train.session import Wishes, assignments, carry_on, machine, new_run
from musegen.train.ship import ship
from musegen.train.state import STATE_FILE, Run, load_state, resumed
from musegen.train.trainer import Habits

PRETRAINED = Path(__file__).resolve().parent.parent / "musegen" / "pretrained"
PART_BYTES = 15_000_000
FACTS_FILE = "facts.json"


def wishes(options: argparse.Namespace) -> Wishes:
    """What the options ask of a new run."""
    seconds = 0.0 if options.steps else parse_seconds(options.budget)
    changes = assignments(options.model_option), assignments(options.train_option)
    return Wishes(options.preset, seconds, options.steps, options.seed, *changes, base=options.base)


def export(run: Run, folder: Path, run_folder: Path, machine_name: str) -> None:
    """Write the averaged weights in half precision, in parts of at most PART_BYTES, with the run's facts and log."""
    weights = {name: whole(t).half().cpu().contiguous() for name, t in run.average.items()}
    if not run.place.is_first:
        return
    parts: list[dict[str, torch.Tensor]] = [{}]
    for name, tensor in weights.items():
        if sum(t.nbytes for t in parts[-1].values()) + tensor.nbytes > PART_BYTES and parts[-1]:
            parts.append({})
        parts[-1][name] = tensor
    folder.mkdir(parents=True, exist_ok=True)
    for number, part in enumerate(parts):
        path = folder / f"part-{number}.safetensors"
        save_file(part, path.with_suffix(".tmp"))
        path.with_suffix(".tmp").replace(path)
    facts = {**run.facts, "parts": len(parts), "machine": machine_name}
    (folder / FACTS_FILE).write_text(json.dumps(facts, indent=1), encoding="utf-8")
    shutil.copy(run_folder / LOG_FILE, folder / LOG_FILE)


def imported(folder: Path, place: Place) -> tuple[Run, str]:
    """The run that `export` wrote, to be shipped, not trained on; and the machine that trained it."""
    try:
        facts = json.loads((folder / FACTS_FILE).read_text(encoding="utf-8"))
        run = resumed(facts, place)
        parts = [load_file(folder / f"part-{number}.safetensors") for number in range(facts["parts"])]
        weights = {name: tensor for part in parts for name, tensor in part.items()}
        for name, tensor in run.average.items():
            tensor.copy_(weights[name])
    except (OSError, KeyError, ValueError) as error:
        raise ModelError(f"{folder}: not what --export writes ({error}); copy the whole folder") from error
    return run, facts["machine"]


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("shards", type=Path, help="folder that musegen corpus build wrote")
    parser.add_argument("--run", type=Path, required=True, help="folder of the run; resumed if it holds a state")
    parser.add_argument("--preset", default="small", choices=sorted(PRESETS), help="size of the network")
    parser.add_argument("--base", metavar="NAME", help="begin with the weights, and shape, of this model or file")
    parser.add_argument("--budget", default="50m", help="wall time: 90s, 50m, 1.5h (default 50m)")
    parser.add_argument("--steps", type=int, default=0, help="optimizer steps, instead of --budget")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto", choices=DEVICES, help="(default auto)")
    parser.add_argument("--single", action="store_true", help="compute in single precision where bfloat16 is faster")
    parser.add_argument("--fsdp", action="store_true", help="cut the weights over torchrun's processes")
    parser.add_argument("--threads", type=int, default=1, help="threads on the CPU (default 1)")
    parser.add_argument("--workers", type=int, help="processes that draw batches (default 0, or all but two CPUs)")
    parser.add_argument("--save-every", default="3m", help="time between checkpoints (default 3m)")
    parser.add_argument("--measure-every", help="time between measures on valid (default: with each checkpoint)")
    parser.add_argument("--valid-pieces", type=int, default=16, help="of each source, before the end (default 16)")
    parser.add_argument("--model-option", action="append", default=[], metavar="NAME=VALUE", help="of ModelConfig")
    parser.add_argument("--train-option", action="append", default=[], metavar="NAME=VALUE", help="of TrainConfig")
    parser.add_argument("--export", type=Path, metavar="FOLDER", help="write weights in small parts at each checkpoint")
    parser.add_argument("--import", type=Path, metavar="FOLDER", dest="parts", help="ship what --export wrote")
    parser.add_argument("--name", help="ship the result under this name")
    parser.add_argument("--to", type=Path, default=PRETRAINED, help="where to (default musegen/pretrained)")
    parser.add_argument("--ship-only", action="store_true", help="ship the run's last state without training on")
    return parser.parse_args(arguments)


def trained(options: argparse.Namespace, run: Run) -> tuple[dict[str, Likelihood], int]:
    """Train to the end, or until a signal; what valid came to, and the exit status."""
    vocabulary = Remi().vocabulary.fingerprint
    learned, valid = (load_split(options.shards, split, vocabulary) for split in ("train", "valid"))
    habits = Habits(
        save_seconds=parse_seconds(options.save_every),
        measure_seconds=parse_seconds(options.measure_every) if options.measure_every else None,
        valid_pieces=options.valid_pieces,
        workers=default_workers(run.place) if options.workers is None else options.workers,
    )

    def after_save(run: Run) -> None:
        if options.export is not None:
            export(run, options.export, options.run, machine(run.place))

    say = partial(print, flush=True)
    held_out, stopped = carry_on(run, learned, valid, options.run, habits, report=say, after_save=after_save)
    if run.place.is_first:
        report_end(options, run, held_out)
    if stopped:
        name = signal.Signals(stopped).name
        print(f"stopped by {name} at step {run.step}; the same command goes on from there", file=sys.stderr)
        return held_out, 128 + stopped
    return held_out, 0


def report_end(options: argparse.Namespace, run: Run, held_out: Mapping[str, Likelihood]) -> None:
    """Say where the run ended, and the final likelihoods."""
    rate = run.tokens / max(run.seconds, 1e-9)
    print(f"step {run.step}, {run.seconds:.0f} s, {run.tokens:,} tokens learned from, {rate:,.0f} a second")
    if held_out:
        cells = "  ".join(f"{name} {m.nats_per_note:.4f}" for name, m in held_out.items())
        print(f"valid nats/note by source: {cells}", flush=True)
    if not (options.run / CURVE_FILE).exists():
        print("no curve.png: it needs Pillow (pip install pillow); log.csv has the figures")


def main() -> int:
    """Train or resume, then ship."""
    options = parse()
    torch.set_num_threads(options.threads)
    try:
        vocabulary = Remi().vocabulary.fingerprint
        info = load_info(options.shards, vocabulary)
        with joined(options.device, sharded=options.fsdp, narrow=False if options.single else None) as place:
            made_on = machine(place)
            if options.parts:
                run, made_on = imported(options.parts, place)
                options.run.mkdir(parents=True, exist_ok=True)
                shutil.copy(options.parts / LOG_FILE, options.run / LOG_FILE)
                draw_curve(options.run)
            elif (options.run / STATE_FILE).exists():
                run = load_state(options.run, place)
            else:
                run = new_run(wishes(options), place)
            if place.is_first:
                print(f"{run.model.n_parameters:,} parameters on {place.device}, from step {run.step}, {run.config}")
            held_out: dict[str, Likelihood] = {}
            if not (options.ship_only or options.parts):
                held_out, status = trained(options, run)
                if status:
                    return status
            if options.name and place.is_first:
                learned, valid, test = (load_split(options.shards, split, vocabulary) for split in SPLITS)
                path = options.to / f"{options.name}.safetensors"
                print(ship(run, path, info, learned, valid, test, made_on, measured=held_out))
    except MusegenError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
