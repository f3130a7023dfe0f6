"""Where the time of composing goes: microseconds a token of the network, the rules, the draw, the state, the rest.

Clocks are put around what decoding calls, from outside; the last column is the same work without them. The network
includes the prompts; drafts, which only a piece alone makes, are all that making them takes, rules and states with it.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from typing import Any
from unittest import mock

from musegen.compose.plan import PlannedState
from musegen.decoding import filters, search
from musegen.decoding.drafting import Repeats
from musegen.engine import Decoder, decoder

from .common import Figures, in_turns, machine, markdown
from .composing import composed
from .decode import network_named

PARTS: dict[str, tuple[tuple[object, str], ...]] = {
    "rules": ((PlannedState, "allowed"),),
    "draw": ((filters, "apply"), (search, "sample"), (search.Draws, "next")),
    "state and attributes": ((PlannedState, "advance"), (PlannedState, "attributes")),
    "drafts": ((Repeats, "add"), (import_module("musegen.decoding.generate"), "drafted")),
}
NAMES = ("network", *PARTS)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say what it can be told."""
    parser.add_argument("--network", default="ship", help="ship or 10M")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batches", default="1,16")
    parser.add_argument("--tokens", type=int, default=1024, help="of each piece (default 1024)")
    parser.add_argument("--style", default="piano")
    parser.add_argument("--rounds", type=int, default=3)


class Clock:
    """Seconds of each part; of a call within another that is timed, the outer one counts."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._running = False

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its time added to a part."""

        def call(*args: Any, **options: Any) -> Any:
            if self._running:
                return function(*args, **options)
            self._running = True
            began = time.perf_counter()
            try:
                return function(*args, **options)
            finally:
                self.seconds[part] += time.perf_counter() - began
                self._running = False

        return call

    def around(self, network: Decoder) -> ExitStack:
        """While it is open, every part is timed."""
        stack = ExitStack()
        stack.enter_context(mock.patch.object(network, "read", self.timed("network", network.read)))
        for part, places in PARTS.items():
            for owner, name in places:
                found = getattr(owner, name)
                is_property = isinstance(found, property)
                new = self.timed(part, found.fget if is_property else found)
                stack.enter_context(mock.patch.object(owner, name, property(new) if is_property else new))
        return stack


def measure(options: argparse.Namespace) -> Figures:
    """Microseconds a token by part and batch."""
    config, weights = network_named(options.network)
    network = decoder(config, weights, threads=options.threads)
    rows = []
    for batch in map(int, options.batches.split(",")):
        parts: dict[str, list[float]] = defaultdict(list)
        jobs = {"clocks": partial(_by_parts, network, batch, options, parts),
                "no clocks": partial(_whole, network, batch, options)}  # fmt: skip
        whole = in_turns(jobs, options.rounds)
        rows.append({"batch": batch, "microseconds": parts, "whole": whole["clocks"], "unclocked": whole["no clocks"]})
    return {"machine": machine(), "network": options.network, "threads": options.threads, "rows": rows}


def _whole(network: Decoder, batch: int, options: argparse.Namespace) -> float:
    """Microseconds a token."""
    run = composed(network, batch, options.tokens, style=options.style)
    return 1e6 * run.seconds / run.tokens


def _by_parts(network: Decoder, batch: int, options: argparse.Namespace, parts: dict[str, list[float]]) -> float:
    """The same; what each part takes of it is added to `parts`."""
    clock = Clock()
    with clock.around(network):
        run = composed(network, batch, options.tokens, style=options.style)
    for name in NAMES:
        parts[name].append(1e6 * clock.seconds[name] / run.tokens)
    whole = 1e6 * run.seconds / run.tokens
    parts["rest"].append(whole - sum(parts[name][-1] for name in NAMES))
    return whole


def table(result: Figures) -> Iterator[str]:
    """A line a batch."""
    columns = (*NAMES, "rest")
    lines = []
    for row in result["rows"]:
        values = [row["microseconds"][name] for name in columns] + [row["whole"], row["unclocked"]]
        lines.append([str(row["batch"]), *(f"{statistics.median(each):.1f}" for each in values)])
    yield from markdown(["batch", *columns, "all", "all, without the clocks"], lines)
