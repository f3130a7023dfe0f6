"""Seconds for 8 bars by a whole call of the composer, beside a U-Net of Polyffusion's shape; peak memory of each.

They take turns in one process. Ours is everything from request to score, guided, in its default recipe; several
requests are written one after the other. The U-Net makes 50 steps of DDIM without guidance (with it: twice the time),
reckoned from the first --calls of them, and of nothing else. Memory is that of a process that does this alone.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from benchmarks.common import Figures, in_turns, machine, markdown, run

from . import unet

OURS, THEIRS = "musegen", "U-Net"
BARS = 8


def arguments(parser: argparse.ArgumentParser) -> None:
    """Say what it can be told."""
    parser.add_argument("--batches", default="1,8")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--style", default="piano")
    parser.add_argument("--calls", type=int, default=3, help=f"of the U-Net that are timed, {unet.STEPS} at most")
    parser.add_argument("--channels", default=",".join(map(str, unet.CHANNELS)), help="of the U-Net")


def measure(options: argparse.Namespace) -> Figures:
    """Seconds of each batch, by both; first the memory, which a large parent would hide."""
    names = [OURS, THEIRS] if unet.is_there() else [OURS]
    batches = [int(word) for word in options.batches.split(",")]
    memory = {f"{name}, {batch}": _peak_of(name, batch, options) for name in names for batch in batches}
    sizes, jobs = {}, {}
    for name in names:
        sizes[name], job = _job_of(name, options)
        jobs[name] = job
    turns = {f"{name}, {batch}": jobs[name](batch) for batch in batches for name in names}
    seconds = in_turns(turns, options.rounds)
    from musegen.compose.denoising import Recipe

    return {
        "machine": machine(), "model": str(options.model), "threads": options.threads, "recipe": asdict(Recipe()),
        "parameters": sizes, "calls": options.calls, "style": options.style, "batches": batches, "seconds": seconds,
        "megabytes": memory,
    }  # fmt: skip


Job = Callable[[int], Callable[[], float]]
"""Batch -> what tells the seconds of one."""


def _job_of(name: str, options: argparse.Namespace) -> tuple[int, Job]:
    """How many parameters a network has, and its jobs."""
    import torch

    if name == THEIRS:
        torch.set_num_threads(options.threads)
        network = unet.build(tuple(int(word) for word in options.channels.split(",")))
        return sum(p.numel() for p in network.parameters()), lambda batch: unet.sampling(network, batch, options.calls)
    from musegen import checkpoint
    from musegen.compose import Request, load

    composer = load(options.model, threads=options.threads)

    def job(batch: int) -> Callable[[], float]:
        asked = [Request(bars=BARS, meter=(4, 4), style=options.style, seed=seed) for seed in range(batch)]

        def once() -> float:
            began = time.perf_counter()
            composer.compose(asked)
            return time.perf_counter() - began

        return once

    return checkpoint.load_denoiser(options.model, threads=options.threads)[0].n_parameters, job


def _peak_of(name: str, batch: int, options: argparse.Namespace) -> float:
    """Megabytes of a process that does one job once."""
    told = {key: getattr(options, key) for key in ("threads", "style", "channels")}
    code = f"""
import argparse, resource, sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from diffusion_reports.speed import _job_of
_job_of({name!r}, argparse.Namespace(model={str(options.model)!r}, calls=1, **{told!r}))[1]({batch})()
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
    return float(run("-c", code).split()[-1])


def table(result: Figures) -> Iterator[str]:
    """A line a batch."""
    head = ["clips at once", "musegen, s", "U-Net, s", "times as long", "musegen, MB", "U-Net, MB"]
    rows = []
    for batch in result["batches"]:
        ours, theirs = (result["seconds"].get(f"{name}, {batch}") for name in (OURS, THEIRS))
        row = [f"{batch}", f"{statistics.median(ours):.2f}"]
        row += [f"{statistics.median(theirs):.1f}", f"{_ratio(theirs, ours):.0f}"] if theirs else ["–", "–"]
        row += [f"{m:.0f}" if (m := result["megabytes"].get(f"{n}, {batch}")) else "–" for n in (OURS, THEIRS)]
        rows.append(row)
    yield from markdown(head, rows, words=0)
    yield ""
    recipe, peers = result["recipe"], result["machine"]["peers"]
    sizes = ", ".join(f"{name} {count / 1e6:.1f} M" for name, count in result["parameters"].items())
    yield (
        f"{BARS} bars of 4/4; {result['threads']} thread(s), {result['machine']['cpu']}, torch {peers.get('torch')}. "
        f"Parameters: {sizes}. musegen: {recipe['steps']} steps of {recipe['sampler']}, guidance "
        f"{recipe['guidance']:g}, {result['style']}. "
        f"U-Net: {unet.STEPS} steps of DDIM, reckoned from {min(result['calls'], unet.STEPS)}, without guidance. "
        "Medians of rounds in turns."
    )


def _ratio(theirs: list[float], ours: list[float]) -> float:
    """The median of what each round gives."""
    return statistics.median(a / b for a, b in zip(theirs, ours, strict=True))
