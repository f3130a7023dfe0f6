"""Composing with a network as `musegen compose` does, stopped where enough is written."""

from __future__ import annotations

import time
from dataclasses import dataclass

from musegen.compose import Progress, Request
from musegen.compose.autoregressive import AutoregressiveComposer
from musegen.decoding.filters import SamplingOptions
from musegen.engine import Decoder

PLAIN = SamplingOptions(min_p=0.01, guidance=1)
"""Without guidance, which reads everything twice and makes no drafts."""


@dataclass(frozen=True)
class Composed:
    """What was written, and how long it took."""

    tokens: int
    notes: int
    seconds: float


def composed(network: Decoder, batch: int, n_tokens: int, *, style: str = "piano", first_seed: int = 0) -> Composed:
    """Write `batch` pieces at once, rules and draws with it, until one of them has `n_tokens`."""
    composer = AutoregressiveComposer("bench", network, network.config.context, {}, "")
    seeds = range(first_seed, first_seed + batch)
    requests = [Request(bars=256, style=style, meter=(4, 4), seed=seed, sampling=PLAIN) for seed in seeds]
    rows = [composer._begin(request, i) for i, request in enumerate(requests)]  # noqa: SLF001  # stopped half-way
    before = sum(len(row.ids) for row in rows)
    began = time.perf_counter()
    for event in composer._write(rows):  # noqa: SLF001
        if isinstance(event, Progress) and max(len(row.ids) for row in rows) >= n_tokens:
            break
    seconds = time.perf_counter() - began
    return Composed(sum(len(row.ids) for row in rows) - before, sum(row.state.state.n_notes for row in rows), seconds)
