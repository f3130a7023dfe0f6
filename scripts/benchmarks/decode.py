"""Tokens and notes a second by program, batch and threads, and what of the machine's bounds is reached.

Peers: Hugging Face generate with a Llama of the same width, depth, heads and nearly the same number of parameters,
midigpt's network with its cache, both without any musical rules; and our own network in torch without a cache, which is
what most programs do. The bounds are measured in the same rounds: the bandwidth of an array as large as the weights,
and the kernel's own product of 8-bit integers with weights that the second cache holds.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from functools import partial

import numpy as np
import numpy.typing as npt

from musegen import checkpoint
from musegen.engine import Decoder, decoder
from musegen.engine.compiled import library
from musegen.shapes import ModelConfig, parameters, preset
from musegen.tokens import Remi

from .bounds import Needs, arithmetic, bandwidth
from .common import Figures, in_turns, machine, markdown
from .composing import Composed, composed
from .peers import HUGGING_FACE, decoders

COMPOSING, ALONE = "musegen, composing", "musegen, network alone"
BOUNDS = ("bandwidth", "arithmetic")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say what it can be told."""
    parser.add_argument("--networks", default="ship,10M", help="the one that ships, and random weights of 10 million")
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--batches", default="1,4,16")
    parser.add_argument("--tokens", type=int, default=1024, help="of each piece (default 1024)")
    parser.add_argument("--rounds", type=int, default=3)


def measure(options: argparse.Namespace) -> Figures:
    """Tokens a second of each program, and of the bounds."""
    import torch

    result: Figures = {"machine": machine(), "tokens": options.tokens, "needs": {}, "rows": []}
    for name in options.networks.split(","):
        config, weights = network_named(name)
        needs = Needs.of(config, options.tokens // 2)
        result["needs"][name] = asdict(needs)
        for threads in map(int, options.threads.split(",")):
            torch.set_num_threads(threads)
            network = decoder(config, weights, threads=threads)
            for batch in map(int, options.batches.split(",")):
                key = {"network": name, "threads": threads, "batch": batch}
                result["rows"] += [key | row for row in _programs(network, needs, threads, batch, options)]
    return result


def network_named(name: str) -> tuple[ModelConfig, dict[str, npt.NDArray[np.float32]]]:
    """The composer that ships ("ship"), or random weights of about 10 million in its vocabulary."""
    stored = checkpoint.read("transformer")
    assert isinstance(stored.config, ModelConfig)
    if name == "ship":
        return stored.config, stored.weights
    config = preset("base", Remi.vocabulary.size, Remi.attribute_sizes, context=stored.config.context)
    random = np.random.default_rng(0)
    return config, {
        name: (np.ones(shape) if len(shape) == 1 else 0.02 * random.standard_normal(shape)).astype(np.float32)
        for name, shape in parameters(config).items()
    }


def _programs(network: Decoder, needs: Needs, threads: int, batch: int, options: argparse.Namespace) -> list[Figures]:
    """A row a program."""
    runs: list[Composed] = []

    def composing() -> float:
        runs.append(composed(network, batch, options.tokens))
        return runs[-1].tokens / runs[-1].seconds

    jobs: dict[str, Callable[[], float]] = {
        COMPOSING: composing,
        ALONE: partial(stepping, network, batch, options.tokens),
        **decoders(network.config, batch, options.tokens),
        "bandwidth": lambda: bandwidth(needs.weights, threads) / needs.bytes_of(batch),
    }
    found = library()
    if found is not None:
        jobs["arithmetic"] = lambda: arithmetic(found, threads) / needs.multiplications
    gc.collect()
    gc.freeze()  # what torch and the peers have loaded is not searched for garbage in anybody's time
    rows: list[Figures] = [{"program": name, "tokens": v} for name, v in in_turns(jobs, options.rounds).items()]
    rows[0]["notes"] = [each.notes / each.seconds for each in runs]
    return rows


def stepping(network: Decoder, batch: int, n_tokens: int) -> float:
    """Tokens a second of the network alone."""
    cache = network.new_cache(batch, n_tokens)
    slots, lines = np.arange(batch), np.arange(batch)
    ids = np.full(batch, 40)
    attributes = np.zeros((batch, len(network.config.attribute_sizes) + 2), np.int64)
    began = time.perf_counter()
    for place in range(n_tokens):
        network.read(cache, ids, attributes, slots, np.full(batch, place), lines)  # type: ignore[arg-type]
    return batch * n_tokens / (time.perf_counter() - began)


def table(result: Figures) -> Iterator[str]:
    """What the programs do, then what the bounds are."""
    groups: dict[tuple[str, int, int], list[Figures]] = {}
    for row in result["rows"]:
        groups.setdefault((row["network"], row["threads"], row["batch"]), []).append(row)
    yield from _speeds(groups)
    yield ""
    yield from _bounds(groups, result["needs"])


def _medians(rows: list[Figures]) -> dict[str, float]:
    """Tokens a second by program."""
    return {row["program"]: statistics.median(row["tokens"]) for row in rows}


def _speeds(groups: dict[tuple[str, int, int], list[Figures]]) -> Iterator[str]:
    """A line a group: tokens a second, notes a second, shares."""
    names = dict.fromkeys(row["program"] for rows in groups.values() for row in rows)
    programs, bounds = [[name for name in names if (name in BOUNDS) is is_bound] for is_bound in (False, True)]
    lines = []
    for key, rows in groups.items():
        tokens, notes = _medians(rows), statistics.median(rows[0]["notes"])
        ratio = f"{tokens[COMPOSING] / tokens[HUGGING_FACE]:.1f}" if HUGGING_FACE in tokens else ""
        cells = [f"{tokens[name]:,.0f}" if name in tokens else "" for name in programs]
        shares = [f"{tokens[ALONE] / tokens[name]:.0%}" for name in bounds]
        lines.append([*map(str, key), f"{notes:,.0f}", *cells, ratio, *shares])
    head = ["network", "threads", "batch", "notes, composing", *programs, "composing against Hugging Face"]
    yield from markdown([*head, *(f"network alone, of the {name}" for name in bounds)], lines)


def _bounds(groups: dict[tuple[str, int, int], list[Figures]], needs: dict[str, Figures]) -> Iterator[str]:
    """A line a group: what a token needs, what the machine gives, and so the most tokens a second."""
    lines = []
    for (name, threads, batch), rows in groups.items():
        each, tokens = Needs(**needs[name]), _medians(rows)
        line = [name, str(threads), str(batch)]
        for bound, need in (("bandwidth", each.bytes_of(batch)), ("arithmetic", each.multiplications)):
            most = tokens.get(bound)
            line.append(f"{need / 1e6:.2f}")
            line += [f"{most * need / 1e9:,.0f}", f"{most:,.0f}"] if most else ["", ""]
        lines.append(line)
    head = ["network", "threads", "batch", "MB a token", "GB a second", "so tokens a second"]
    head += ["million multiplications a token", "billion multiplications a second", "so tokens a second"]
    yield from markdown(head, lines)
