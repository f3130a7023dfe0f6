"""Train a model on shards for a given time and ship it: weights of half precision and a model card.

    python scripts/train_pretrained.py shards --preset small --budget 50m --run runs/transformer --name transformer
    python scripts/train_pretrained.py shards --run runs/transformer --name transformer --ship-only

A run that was killed goes on when the same command is given again. Without --name nothing is shipped.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from musegen.corpus.shards import load_info, load_split
from musegen.errors import MusegenError, RequestError
from musegen.models import PRESETS, preset
from musegen.tokens import Remi
from musegen.train.config import TrainConfig, parse_seconds
from musegen.train.ship import ship
from musegen.train.trainer import STATE_FILE, Run, load_state, start, train

PRETRAINED = Path(__file__).resolve().parent.parent / "musegen" / "pretrained"


def assignments(items: list[str]) -> dict[str, Any]:
    """Read NAME=VALUE pairs; values as JSON."""
    result = {}
    for item in items:
        name, equals, value = item.partition("=")
        try:
            result[name] = json.loads(value)
        except ValueError as error:
            raise RequestError(f"cannot read {item!r}; write NAME=VALUE, e.g. n_layer=4") from error
        if not equals:
            raise RequestError(f"cannot read {item!r}; write NAME=VALUE, e.g. n_layer=4")
    return result


def new_run(options: argparse.Namespace) -> Run:
    """A run at step 0, as the options ask for it."""
    tokenizer = Remi()
    model = preset(
        options.preset, tokenizer.vocabulary.size, tokenizer.attribute_sizes, **assignments(options.model_option)
    )
    budget: Mapping[str, Any] = (
        {"budget_steps": options.steps} if options.steps else {"budget_seconds": parse_seconds(options.budget)}
    )
    config = TrainConfig(**budget, context=model.context, seed=options.seed)
    return start(model, replace(config, **assignments(options.train_option)))


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("shards", type=Path, help="folder that scripts/build_corpus.py wrote")
    parser.add_argument("--run", type=Path, required=True, help="folder of the run; resumed if it holds a state")
    parser.add_argument("--preset", default="small", choices=sorted(PRESETS), help="size of the network")
    parser.add_argument("--budget", default="50m", help="wall time: 90s, 50m, 1.5h (default 50m)")
    parser.add_argument("--steps", type=int, default=0, help="optimizer steps, instead of --budget")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1, help="threads (default 1)")
    parser.add_argument("--save-every", default="3m", help="time between checkpoints (default 3m)")
    parser.add_argument("--model-option", action="append", default=[], metavar="NAME=VALUE", help="of ModelConfig")
    parser.add_argument("--train-option", action="append", default=[], metavar="NAME=VALUE", help="of TrainConfig")
    parser.add_argument("--name", help="ship the result under this name")
    parser.add_argument("--to", type=Path, default=PRETRAINED, help="where to (default musegen/pretrained)")
    parser.add_argument("--ship-only", action="store_true", help="ship the run's last state without training on")
    return parser.parse_args(arguments)


def main() -> int:
    """Train or resume, then ship."""
    options = parse()
    torch.set_num_threads(options.threads)
    try:
        vocabulary = Remi().vocabulary.fingerprint
        info = load_info(options.shards, vocabulary)
        run = load_state(options.run) if (options.run / STATE_FILE).exists() else new_run(options)
        print(f"{run.model.n_parameters:,} parameters, from step {run.step}, {run.config}", flush=True)
        valid = load_split(options.shards, "valid", vocabulary)
        if not options.ship_only:
            train(
                run,
                load_split(options.shards, "train", vocabulary),
                valid,
                options.run,
                save_seconds=parse_seconds(options.save_every),
                report=lambda line: print(line, flush=True),
            )
        if options.name:
            machine = f"{platform.machine()} CPU, {options.threads} thread{'s' * (options.threads > 1)}"
            test = load_split(options.shards, "test", vocabulary)
            print(ship(run, options.to / f"{options.name}.safetensors", info, valid, test, machine))
    except MusegenError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
