"""Training tokens a second on this machine's CPU: our loop beside two that many people use, on networks of one shape.

    python scripts/training_speed.py SHARDS [--presets small,ship] [--seconds 20] [--repeats 3] [--threads 1]

- musegen: `musegen train`, batches drawn from SHARDS as ever, chords, masks, transpositions and averaged weights
  included.
- plain loop: a GPT in fifty lines as nanoGPT has it (learned positions, one attention head a query, fused attention,
  AdamW, gradients clipped) on random stretches of the shards' tokens, in this file.
- Hugging Face: transformers' Trainer with a GPT2LMHeadModel of that shape on the same stretches; needs
  `pip install musegen[bench]`, and is left out where it is missing.

Width, depth, heads, feed-forward width, dropout and vocabulary are those of the preset; all compute in single
precision, ours also in bfloat16, its default where the CPU multiplies that. A batch has as many tokens as ours have on
the mean, a stretch is as long as our rows are, so that all attend equally far. Counted are the tokens that are learned
from. The loops take turns, each `--repeats` times for `--seconds` after `--warm-up` seconds.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from musegen.corpus.shards import Array, Split, load_split
from musegen.models import ModelConfig
from musegen.tokens import Remi
from musegen.train.data import POOL_BATCHES, Sampler
from musegen.train.distributed import Place, multiplies_bfloat16
from musegen.train.loader import read_ahead
from musegen.train.session import Wishes, new_run
from musegen.train.trainer import train_step

LEARNING_RATE, DECAY, CLIP = 1e-3, 0.1, 1.0


class Clock:
    """Counts tokens after a warm-up, until the time is over; at least one step is warm-up and one counts."""

    def __init__(self, warm_up: float, seconds: float) -> None:
        self.seconds = seconds
        self.warm_until = time.perf_counter() + warm_up
        self.since = self.until = 0.0
        self.tokens = 0

    def step(self, tokens: int) -> bool:
        """Note a step of so many tokens; whether to go on."""
        now = time.perf_counter()
        if not self.since:
            self.since = now if now >= self.warm_until else 0.0
            return True
        self.tokens += tokens
        self.until = now
        return now - self.since < self.seconds

    @property
    def rate(self) -> float:
        """Tokens a second."""
        return self.tokens / (self.until - self.since)


@dataclass(frozen=True, eq=False)
class Job:
    """A shape, the split to learn, and the peers' batches: `rows` stretches of `length` tokens."""

    preset: str
    config: ModelConfig
    split: Split
    rows: int
    length: int

    def stretch(self, seed: int) -> Array:
        """(length + 1,) consecutive tokens of the split, drawn by the seed."""
        ids = self.split.arrays["ids"]
        start = int(np.random.default_rng(seed).integers(len(ids) - self.length))
        return ids[start : start + self.length + 1].astype(np.int64)


Loop = Callable[[Job, Clock], int]
"""Trains until the clock says so; how many parameters the network has."""


def ours(job: Job, clock: Clock, *, narrow: bool) -> int:
    """The loop of `musegen train`, its budget so long that the rate hardly moves."""
    run = new_run(Wishes(job.preset, seconds=1e6), Place(narrow=narrow))
    stream = read_ahead(Sampler(job.split, run.config), 0, 0, pin=False)
    going = True
    while going:
        before = run.tokens
        train_step(run, [next(stream)])
        going = clock.step(run.tokens - before)
    return run.model.n_parameters


class Block(nn.Module):
    """Attention and feed-forward, before each a norm."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.n_head = config.n_head
        self.attention_norm, self.feed_norm = (nn.LayerNorm(config.d_model, bias=False) for _ in range(2))
        self.qkv = nn.Linear(config.d_model, 3 * config.d_model, bias=False)
        self.out = nn.Linear(config.d_model, config.d_model, bias=False)
        self.feed_in = nn.Linear(config.d_model, config.d_ff, bias=False)
        self.feed_out = nn.Linear(config.d_ff, config.d_model, bias=False)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) -> (B, T, C)."""
        heads = self.qkv(self.attention_norm(x)).chunk(3, dim=2)
        q, k, v = (t.unflatten(2, (self.n_head, -1)).transpose(1, 2) for t in heads)  # (B, H, T, D)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.dropout(self.out(mixed.transpose(1, 2).flatten(2)))
        inner = functional.gelu(self.feed_in(self.feed_norm(x)))
        return x + self.dropout(self.feed_out(inner))  # type: ignore[no-any-return]


class GPT(nn.Module):
    """A GPT with learned positions and tied embeddings."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.tokens = nn.Embedding(config.vocab_size, config.d_model)
        self.positions = nn.Embedding(config.context, config.d_model)
        self.blocks = nn.Sequential(*(Block(config) for _ in range(config.n_layer)))
        self.norm = nn.LayerNorm(config.d_model, bias=False)
        self.dropout = nn.Dropout(config.dropout)
        for parameter in self.parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, ids: Tensor) -> Tensor:
        """(B, T) -> logits (B, T, V)."""
        x = self.tokens(ids) + self.positions.weight[: ids.shape[1]]
        return functional.linear(self.norm(self.blocks(self.dropout(x))), self.tokens.weight)


def plain(job: Job, clock: Clock) -> int:
    """A training loop as one writes it."""
    model = GPT(job.config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.95), weight_decay=DECAY)
    seed, going = 0, True
    while going:
        batch = torch.from_numpy(np.stack([job.stretch(seed + row) for row in range(job.rows)]))
        seed += job.rows
        logits = model(batch[:, :-1])
        loss = functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        going = clock.step(job.rows * job.length)
    return sum(parameter.numel() for parameter in model.parameters())


class Stretches(torch.utils.data.Dataset[dict[str, Tensor]]):
    """The job's stretches as transformers' Trainer takes them; the model shifts its labels itself."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def __len__(self) -> int:
        return 10_000_000

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        ids = torch.from_numpy(self.job.stretch(index))
        return {"input_ids": ids, "labels": ids}


def hugging_face(job: Job, clock: Clock) -> int:
    """The Trainer of transformers."""
    hf: Any = import_module("transformers")
    hf.logging.set_verbosity_error()

    class Stopper(hf.TrainerCallback):  # type: ignore[misc]  # transformers is not installed where types are checked
        def on_step_end(self, _arguments: Any, _state: Any, control: Any, **_: Any) -> None:
            control.should_training_stop = not clock.step(job.rows * job.length)

    c = job.config
    model = hf.GPT2LMHeadModel(
        hf.GPT2Config(
            vocab_size=c.vocab_size, n_positions=c.context, n_embd=c.d_model, n_layer=c.n_layer, n_head=c.n_head,
            n_inner=c.d_ff, resid_pdrop=c.dropout, embd_pdrop=c.dropout, attn_pdrop=0, use_cache=False,
            bos_token_id=None, eos_token_id=None, attn_implementation="sdpa",
        )
    )  # fmt: skip
    with TemporaryDirectory() as folder:
        arguments = hf.TrainingArguments(
            folder, max_steps=1_000_000, per_device_train_batch_size=job.rows, learning_rate=LEARNING_RATE,
            weight_decay=DECAY, max_grad_norm=CLIP, use_cpu=True, save_strategy="no", logging_strategy="no",
            report_to=[], disable_tqdm=True, dataloader_pin_memory=False,
        )  # fmt: skip
        trainer = hf.Trainer(model, arguments, train_dataset=Stretches(job), callbacks=[Stopper()])
        trainer.remove_callback(hf.PrinterCallback)  # it would print into our table
        trainer.train()
    return sum(parameter.numel() for parameter in model.parameters())


LOOPS: dict[str, Loop] = {
    "musegen": partial(ours, narrow=multiplies_bfloat16(torch.device("cpu"))),
    "musegen, single precision": partial(ours, narrow=False),
    "plain loop": plain,
    "Hugging Face": hugging_face,
}


def job_of(preset: str, split: Split) -> Job:
    """The job of one preset: the peers' batches have as many tokens as ours, and these attend as far on the mean."""
    run = new_run(Wishes(preset, seconds=1e6), Place())
    sampler = Sampler(split, run.config)
    shapes = np.array([sampler.batch(step).ids.shape for step in range(POOL_BATCHES)])  # B and T of each
    tokens = shapes.prod(axis=1)
    length = round(float(tokens @ shapes[:, 1] / tokens.sum()))
    config = run.model.config
    assert isinstance(config, ModelConfig)
    return Job(preset, config, split, max(1, round(tokens.mean() / length)), length)


def lines(job: Job, loops: Sequence[str], options: argparse.Namespace) -> Iterator[str]:
    """The rows of one preset."""
    rates: dict[str, list[float]] = {name: [] for name in loops}
    sizes = {}
    for repeat in range(options.repeats):
        for name in loops:
            torch.manual_seed(repeat)
            clock = Clock(options.warm_up, options.seconds)
            sizes[name] = LOOPS[name](job, clock)
            rates[name].append(clock.rate)
            print(f"{job.preset}, {name}: {clock.rate:,.0f} tokens a second", file=sys.stderr)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    for name, values in rates.items():
        spread = f"{min(values):,.0f} to {max(values):,.0f}"
        ratio = f"{medians[loops[0]] / medians[name]:.2f}"
        yield f"| {job.preset} | {name} | {sizes[name]:,} | {medians[name]:,.0f} ({spread}) | {ratio} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what is measured where, then the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shards", type=Path)
    parser.add_argument("--presets", default="small,ship")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--warm-up", type=float, default=5, metavar="SECONDS")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    split = load_split(options.shards, "train", Remi().vocabulary.fingerprint)
    loops = [name for name in LOOPS if name != "Hugging Face" or find_spec("transformers")]
    if len(loops) < len(LOOPS):
        print("Hugging Face is left out: pip install musegen[bench]", file=sys.stderr)
    versions = [f"torch {torch.__version__}"]
    versions += [f"transformers {import_module('transformers').__version__}"] if "Hugging Face" in loops else []
    jobs = [job_of(preset, split) for preset in options.presets.split(",")]
    sizes = "; ".join(f"{job.preset}: {job.rows} stretches of {job.length} tokens" for job in jobs)
    print(f"{platform.machine()}, {options.threads} threads, {', '.join(versions)}; {sizes}\n")
    print("| preset | loop | parameters | tokens a second, median (range) | musegen is so many times as fast |")
    print("|---|---|---:|---:|---:|")
    for job in jobs:
        for line in lines(job, loops, options):
            print(line, flush=True)


if __name__ == "__main__":
    main()
