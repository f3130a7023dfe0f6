"""Measure held-out nats per note of models and of a Markov baseline, and print one Markdown table.

    python scripts/evaluate_likelihood.py shards --model transformer --model runs/rnn --markov 5 --split test

A model is a shipped name, a .safetensors file, or the folder of a training run (its averaged weights).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

from musegen import checkpoint
from musegen.corpus.shards import Split, load_split
from musegen.errors import MusegenError
from musegen.evaluate.likelihood import Likelihood, evaluate, markdown_table
from musegen.evaluate.markov import MarkovModel, best_discount, transpositions
from musegen.models import Model
from musegen.tokens import Remi
from musegen.train.objective import scorer
from musegen.train.trainer import STATE_FILE, averaged, load_state

DISCOUNTS = (2.0, 4.0, 8.0, 16.0, 32.0)
"""Discounts tried on valid: large ones, since twelve transpositions count what has no pitch twelve times."""


def network(name: str) -> Model:
    """The model of a run's folder, a file or a shipped name."""
    if (Path(name) / STATE_FILE).exists():
        run = load_state(Path(name))
        with averaged(run) as model:
            weights = {key: value.clone() for key, value in model.state_dict().items()}
        run.model.load_state_dict(weights)
        return run.model
    return checkpoint.load(name)[0]


def markov(shards: Path, order: int, context: int) -> MarkovModel:
    """Count the train split in twelve keys; the discount is the one of DISCOUNTS that valid likes best."""
    tokenizer = Remi()
    maps = [tokenizer.transposition(k) for k in range(-5, 7)]
    train = load_split(shards, "train", tokenizer.vocabulary.fingerprint)
    rows = [row for i in train.whole.tolist() for row in transpositions(train[i].ids, maps)]
    model = MarkovModel(rows, tokenizer.vocabulary.size, order)
    return best_discount(model, DISCOUNTS, list(load_split(shards, "valid")), context)


def measured(split: Split, options: argparse.Namespace) -> dict[str, dict[str, Likelihood]]:
    """Each model's name -> its likelihoods by source."""
    results = {}
    for name in options.model:
        model = network(name)
        label = f"{model.config.architecture} ({model.n_parameters / 1e6:.1f} M parameters)"
        results[f"{label}, {Path(name).name}"] = evaluate(scorer(model), split, options.context)
    if options.markov is not None:
        baseline = markov(options.shards, options.markov, options.context)
        results[f"Markov, order {options.markov}, discount {baseline.discount:g}"] = evaluate(
            baseline, split, options.context
        )
    return results


def main() -> int:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("shards", type=Path, help="folder that scripts/build_corpus.py wrote")
    parser.add_argument("--model", action="append", default=[], help="name, file or run folder; may be repeated")
    parser.add_argument("--markov", type=int, metavar="ORDER", help="also a back-off Markov model of this order")
    parser.add_argument("--split", default="test", choices=["valid", "test"])
    parser.add_argument("--context", type=int, default=512, help="longest window in tokens (default 512)")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if not options.model and options.markov is None:
        parser.error("name a --model or ask for --markov ORDER")
    try:
        split = load_split(options.shards, options.split, Remi().vocabulary.fingerprint)
        print(f"Nats per note, {options.split} split\n")
        print(markdown_table(measured(split, options)))
    except MusegenError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
