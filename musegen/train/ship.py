"""From a run to a shipped model: averaged weights in half precision, and the model card beside them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from musegen import checkpoint
from musegen.corpus.shards import Split
from musegen.evaluate.likelihood import Likelihood, evaluate, markdown_table
from musegen.models import PRESETS, ModelConfig
from musegen.train.config import TrainConfig
from musegen.train.objective import scorer
from musegen.train.trainer import Run, averaged

WEIGHTS_LICENCE = "Apache-2.0"

_CARD = """\
# {name}

{description}

- architecture: {architecture}, {parameters:,} parameters ({shape}), context {context} tokens
- tokenizer: remi, vocabulary `{vocabulary}`
- trained: {steps:,} steps, {tokens:,} tokens, {minutes:.0f} minutes on {machine}, seed {seed}
- weights: averaged over the run's last part, stored in half precision; licence {licence}

## What it is for
Composing and continuing short pieces in the styles {styles}; other styles and instruments are outside what it heard.

## Data
Only the train splits were trained on; the same music in another key was kept out of them.

| source | style | pieces | notes | licence as stated | credit |
|---|---|---:|---:|---|---|
{data}

Kept out of train by their notes: {excluded}.

## Held-out likelihood, nats per note
{likelihood}

## Made by
```
{command}
```
with the shards of `scripts/build_corpus.py`, and {configuration}.
"""


def facts(run: Run, info: Mapping[str, Any], held_out: Mapping[str, Mapping[str, Likelihood]]) -> dict[str, Any]:
    """What the weights file itself says of the model."""
    sources = info["sources"]
    styles = sorted({source["style"] for source in sources.values()})
    return {
        "description": f"A {run.model.config.architecture} for music in the styles {', '.join(styles)}.",
        "styles": styles,
        "licence": WEIGHTS_LICENCE,
        "sources": {name: {key: s[key] for key in ("style", "licence", "credit")} for name, s in sources.items()},
        "steps": run.step,
        "tokens": run.tokens,
        "seconds": round(run.seconds),
        "nats_per_note": {
            split: {name: round(m.nats_per_note, 4) for name, m in by_source.items()}
            for split, by_source in held_out.items()
        },
    }


def command(name: str, run: Run) -> str:
    """The command that trains and ships such a model again."""
    base = "lstm" if run.model.config.architecture == "rnn" else "small"
    words = ["python", "scripts/train_pretrained.py", "shards", "--run", f"runs/{name}", "--name", name]
    config = run.config
    words += ["--preset", base, "--seed", str(config.seed)]
    if config.budget_steps:
        words += ["--steps", str(config.budget_steps)]
    else:
        words += ["--budget", f"{config.budget_seconds / 60:g}m"]
    plain = {**ModelConfig.from_dict({**run.model.config.to_dict(), **PRESETS[base], "dropout": 0.1}).to_dict()}
    for key, value in run.model.config.to_dict().items():
        if value != plain[key]:
            words += ["--model-option", f"{key}={json.dumps(value)}"]
    default = replace(TrainConfig(budget_steps=1), context=config.context).to_dict()
    for key, value in config.to_dict().items():
        if value != default[key] and key not in ("budget_steps", "budget_seconds", "seed"):
            words += ["--train-option", f"{key}={json.dumps(value)}"]
    return shlex.join(words)


def model_card(
    name: str,
    run: Run,
    info: Mapping[str, Any],
    held_out: Mapping[str, Mapping[str, Likelihood]],
    machine: str,
) -> str:
    """The card as Markdown."""
    config, card = run.model.config, facts(run, info, held_out)
    rows = [
        f"| {source} | {s['style']} | {s['counts']['train']['pieces']:,} | {s['counts']['train']['notes']:,} "
        f"| {s['licence']} | {s['credit']} |"
        for source, s in info["sources"].items()
    ]
    excluded = [f"{name} ({c['train_pieces_dropped']} pieces)" for name, c in info["excluded"].items()]
    return _CARD.format(
        name=name,
        description=card["description"],
        architecture=config.architecture,
        parameters=run.model.n_parameters,
        shape=f"d_model {config.d_model}, {config.n_layer} layers, d_ff {config.d_ff}",
        context=config.context,
        vocabulary=info["vocabulary"],
        steps=run.step,
        tokens=run.tokens,
        minutes=run.seconds / 60,
        machine=machine,
        seed=run.config.seed,
        licence=WEIGHTS_LICENCE,
        styles=", ".join(card["styles"]),
        data="\n".join(rows),
        excluded=", ".join(excluded) or "nothing was asked for",
        likelihood=markdown_table(held_out),
        command=command(name, run),
        configuration=", ".join(f"{key}={value}" for key, value in run.config.to_dict().items()),
    )


def ship(run: Run, path: Path, info: Mapping[str, Any], valid: Split, test: Split, machine: str) -> str:
    """Write the weights to `path` and the card beside it; returns the held-out table."""
    with averaged(run) as model:
        score = scorer(model)
        held_out = {
            "valid": evaluate(score, valid, run.config.context),
            "test": evaluate(score, test, run.config.context),
        }
        checkpoint.save(path, model, facts(run, info, held_out))
    card = model_card(path.stem, run, info, held_out, machine)
    path.with_suffix(".md").write_text(card, encoding="utf-8")
    return markdown_table(held_out)
