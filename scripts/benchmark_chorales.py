"""The JSB chorales benchmark: train on its train split alone, and print nats per voice and step on valid and test.

    python scripts/benchmark_chorales.py data/jsb --run runs/chorales

data/jsb holds Jsb16thSeparated.json. Trains the networks of --members, averages them, and prints one table; weights
and a learning curve of each stay in --run, and a killed run goes on with the networks that are missing. The protocol
is that of musegen/evaluate/chorales.py. test is measured once, with what valid chose.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from musegen.errors import MusegenError, RequestError
from musegen.evaluate.chorale_families import predictions
from musegen.evaluate.chorales import SPLITS, Figure, Grid, markdown_table, read
from musegen.models.chorale_net import ChoraleNet
from musegen.train.chorales import MEMBERS, ChoraleTraining, Example, example, figure, new_network, train

CURVE = ("epoch", "seconds", "train", "valid")


def member(name: str) -> tuple[str, ChoraleTraining]:
    """KIND-SEED as the settings of a network."""
    kind, _, seed = name.partition("-")
    if kind not in MEMBERS or not seed.isdecimal():
        raise RequestError(f"no network {name!r}; write KIND-SEED, kinds are {', '.join(MEMBERS)}, as in recurrent-0")
    return name, replace(MEMBERS[kind], seed=int(seed))


def trained(
    name: str, config: ChoraleTraining, folder: Path, examples: dict[str, list[Example]], valid: list[Grid]
) -> ChoraleNet:
    """The network of this name: read, or trained and written with its curve."""
    net, path = new_network(config, examples["train"][0].contexts.shape[2]), folder / f"{name}.safetensors"
    if path.is_file():
        net.load_state_dict(load_file(path), strict=False)
        return net.eval()
    began, rows = time.monotonic(), []

    def note(epoch: int, loss: float, network: ChoraleNet) -> None:
        if epoch % 5 and epoch != config.epochs:
            return
        figures = figure([network], examples["valid"], valid)
        rows.append((epoch, round(time.monotonic() - began), round(loss, 4), round(figures.nats_per_cell, 4)))
        print(
            name, *(f"{key} {value}" for key, value in zip(CURVE, rows[-1], strict=True)), file=sys.stderr, flush=True
        )

    train(net, examples["train"], config, note)
    with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([CURVE, *rows])
    temporary = path.with_suffix(".tmp")
    save_file({key: value.contiguous() for key, value in net.named_parameters()}, temporary)
    temporary.replace(path)
    return net


def prepared(grids: dict[str, list[Grid]]) -> dict[str, list[Example]]:
    """The examples of each split; contexts are counted on train alone."""
    said = iter(predictions([grid for split in SPLITS for grid in grids[split]], len(grids["train"])))
    return {split: [example(grid, next(said)) for grid in grids[split]] for split in SPLITS}


def figures(options: argparse.Namespace, configs: dict[str, ChoraleTraining]) -> dict[str, dict[str, Figure]]:
    """Train or read the networks; each alone and their average, by split."""
    grids = read(options.data)
    if {split: len(grids[split]) for split in SPLITS} != SPLITS:
        print(f"note: not the standard split {SPLITS}", file=sys.stderr)
    examples = prepared(grids)
    options.run.mkdir(parents=True, exist_ok=True)
    nets = {name: trained(name, config, options.run, examples, grids["valid"]) for name, config in configs.items()}
    groups = {name: [net] for name, net in nets.items()}
    if len(nets) > 1:
        groups[f"average of {len(nets)}"] = list(nets.values())
    return {
        f"{name} ({sum(net.n_parameters for net in group) / 1e6:.2f} M)": {
            split: figure(group, examples[split], grids[split]) for split in ("valid", "test")
        }
        for name, group in groups.items()
    }


def main() -> int:
    """Parse, train, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path, help="Jsb16thSeparated.json, or the folder that holds it")
    parser.add_argument("--run", type=Path, required=True, help="folder for weights and curves; goes on from there")
    parser.add_argument(
        "--members", default="recurrent-0,attending-0,recurrent-1,attending-1", help="KIND-SEED, commas between"
    )
    parser.add_argument("--epochs", type=int, help="of each network (default: its own)")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    try:
        configs = dict(member(name) for name in options.members.split(","))
        if options.epochs is not None:
            configs = {name: replace(config, epochs=options.epochs) for name, config in configs.items()}
        print(markdown_table(figures(options, configs)))
    except MusegenError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
