"""From a run to a shipped model: averaged weights in half precision, and the model card beside them."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from musegen import checkpoint
from musegen.corpus.shards import Split
from musegen.evaluate.likelihood import Likelihood, markdown_table
from musegen.models import PRESETS
from musegen.score.formats import write_bytes
from musegen.shapes import shape_of
from musegen.train.config import TrainConfig
from musegen.train.objectives import objective_of
from musegen.train.state import Run, averaged

WEIGHTS_LICENCE = "Apache-2.0"
"""Of the weights that we ship."""

_PRESETS = {"transformer": "ship", "rnn": "lstm", "dit": "diffusion"}
"""By which a model's command is told."""

_KINDS = {"transformer": "transformer", "rnn": "rnn", "dit": "diffusion model over piano rolls"}
"""As a card calls them."""

_CARD = """\
# {name}

{description}

- architecture: {architecture}, {parameters:,} parameters ({shape}), context {context} {unit}
- tokenizer: remi, vocabulary `{vocabulary}`
- trained: {steps:,} steps, {tokens:,} {learned}, {minutes:.0f} minutes on {machine}, seed {seed}
- weights: averaged over the run's last part, stored in half precision; licence {licence}

## What it is for
Composing and continuing short pieces in the styles {styles}; other styles and instruments are outside what it heard.

## Data
Only the train splits were trained on; the same music in another key was kept out of them.

| source | styles | pieces | notes | licence as stated | credit |
|---|---|---:|---:|---|---|
{data}

Kept out of train by their notes: {excluded}.

## Held-out likelihood, nats per note
{likelihood}

## Made by
```
{command}
```
with the shards of `musegen corpus build`, and {configuration}.
"""


def styles_of(source: Mapping[str, Any]) -> list[str]:
    """The styles of what was trained on, of one of the sources in shards.json."""
    return sorted(style for style in source["counts"]["train"]["styles"] if style)


def licence_of(source: Mapping[str, Any]) -> str:
    """The licence of a source; where its pieces have several, each with how many pieces have it."""
    by_count = source["licences"]
    return source["licence"] if len(by_count) < 2 else ", ".join(f"{text} ({n:,})" for text, n in by_count.items())


def drawn_from(run: Run, sources: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the sources that the run learned from: not those of weight 0."""
    weights = run.config.source_weights
    return {name: source for name, source in sources.items() if weights.get(name, 1.0) > 0}


def _keys(sources: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """How many pieces of each style, of those trained on, are in which key."""
    keys: dict[str, Counter[str]] = {}
    for source in sources.values():
        for style, counts in source["keys"].items():
            keys.setdefault(style, Counter()).update(counts)
    return {style: dict(counts) for style, counts in sorted(keys.items())}


def usual_style(sources: Mapping[str, Any]) -> str | None:
    """The style that most of what was trained on has; None where most has none."""
    styles = Counter[str]()
    for source in sources.values():
        styles.update(source["counts"]["train"]["styles"])
    return styles.most_common(1)[0][0] or None


def facts(
    run: Run, info: Mapping[str, Any], held_out: Mapping[str, Mapping[str, Likelihood]], licence: str
) -> dict[str, Any]:
    """What the weights file itself says of the model."""
    sources = info["sources"]
    styles = sorted({style for source in sources.values() for style in styles_of(source)})
    kind = _KINDS[run.model.config.architecture]
    return {
        "description": f"A {kind} for music in the styles {', '.join(styles) or 'not said'}.",
        "styles": styles,
        "default_style": usual_style(sources),
        "keys": _keys(sources),
        "licence": licence,
        "sources": {
            name: {"styles": styles_of(s), "licence": licence_of(s), "credit": s["credit"]}
            for name, s in sources.items()
        },
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
    base = _PRESETS[run.model.config.architecture]
    words = ["musegen", "train", "shards", "-o", f"{name}{checkpoint.SUFFIX}"]
    config = run.config
    words += ["--preset", base, "--seed", str(config.seed)]
    if config.budget_steps:
        words += ["--steps", str(config.budget_steps)]
    else:
        words += ["--budget", f"{config.budget_seconds / 60:g}m"]
    plain = shape_of({**run.model.config.to_dict(), **PRESETS[base], "dropout": 0.1}).to_dict()
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
    licence: str,
) -> str:
    """The card as Markdown."""
    config, card = run.model.config, facts(run, info, held_out, licence)
    rows = [
        f"| {source} | {', '.join(styles_of(s))} | {s['counts']['train']['pieces']:,} "
        f"| {s['counts']['train']['notes']:,} | {licence_of(s)} | {s['credit']} |"
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
        unit="beats" if config.architecture == "dit" else "tokens",
        learned="notes" if config.architecture == "dit" else "tokens",
        vocabulary=info["vocabulary"],
        steps=run.step,
        tokens=run.tokens,
        minutes=run.seconds / 60,
        machine=machine,
        seed=run.config.seed,
        licence=licence,
        styles=", ".join(card["styles"]) or "not said",
        data="\n".join(rows),
        excluded=", ".join(excluded) or "nothing was asked for",
        likelihood=markdown_table(held_out),
        command=command(name, run),
        configuration=", ".join(f"{key}={value}" for key, value in run.config.to_dict().items()),
    )


def ship(
    run: Run, path: Path, info: Mapping[str, Any], learned: Split, valid: Split, test: Split, machine: str,
    licence: str = WEIGHTS_LICENCE, *, measured: Mapping[str, Likelihood] | None = None,
) -> str:  # fmt: skip
    """Write the weights to `path` and the card beside it; returns the held-out table, without a test that is empty.

    What valid came to is `measured` where the end of training told it, else it is measured here.

    Raises:
        RequestError: if there is no piece in valid.
    """
    model = averaged(run)
    objective = objective_of(model.config)
    measure = objective.measure
    info = {**info, "sources": drawn_from(run, info["sources"])}
    held_out = {"valid": measured or measure(model, valid, run.config.context, run.place)}
    if len(test):
        held_out["test"] = measure(model, test, run.config.context, run.place)
    told = facts(run, info, held_out, licence) | objective.facts(model, learned, valid, run.place)
    checkpoint.save(path, model, told)
    card = model_card(path.stem, run, info, held_out, machine, licence)
    write_bytes(card.encode(), path.with_suffix(".md"), force=True)
    return markdown_table(held_out)
