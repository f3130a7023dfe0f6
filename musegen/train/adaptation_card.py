"""What is said of a fine-tuned model: in its file, and as Markdown beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from musegen import checkpoint
from musegen.corpus.shards import Split
from musegen.evaluate.likelihood import Likelihood, markdown_table
from musegen.tokens import VOCABULARY
from musegen.train.state import Run

_CARD = """\
# {name}

{description}

- base: {base}, checksum `{checksum}`
- method: {method}, {parameters:,} numbers learnt
- style: {style}, which is what it writes when nothing else is asked for
- trained: {steps:,} steps, {tokens:,} tokens, {minutes:.1f} minutes on {machine}, seed {seed}{early}
- weights: averaged up to step {best:,}, where the held-out likelihood was best
- data: {learned} pieces with {notes:,} notes learned from, {held} held out
- licence: {licence}

## Held-out likelihood, nats per note: the lower, the better it knows such music

{likelihood}

Measured on the openings of works that were not learned from; before: the base, no style said. Which weights were kept
was chosen by the same figure.

## Music

{sources}

## Left out

{skipped}
"""


def facts(
    run: Run,
    base: str | Path,
    known: Mapping[str, Any],
    info: Mapping[str, Any],
    learned: Split,
    style: str,
    measures: Mapping[str, Mapping[str, Likelihood]],
) -> dict[str, Any]:
    """What the weights file itself says of the model."""
    name = base if isinstance(base, str) else base.name
    counts = [source["counts"] for source in info["sources"].values()]
    rank = run.config.lora_rank
    return {
        "description": f"{name}, fitted to {', '.join(info['sources'])}.",
        "default_style": style,
        "default_instruments": usual_instruments(learned),
        "styles": [style, *(other for other in known.get("styles", ()) if other != style)],
        "licence": f"that of {name} ({known.get('licence', 'not stated')}) and of the music it was fitted to",
        "base": {"model": name, "checksum": checkpoint.checksum(base)},
        "method": f"LoRA, rank {rank}" if rank else "all weights",
        "parameters_learnt": sum(tensor.numel() for tensor in run.average.values()),
        "sources": {
            source: {"licence": said["licence"], "credit": said["credit"]} for source, said in info["sources"].items()
        },
        "pieces": {
            "learned_from": sum(c["train"]["pieces"] for c in counts),
            "notes": sum(c["train"]["notes"] for c in counts),
            "held_out": sum(c["valid"]["pieces"] for c in counts),
        },
        "skipped": dict(info["dropped"]),
        "steps": run.step,
        "tokens": run.tokens,
        "seconds": round(run.seconds),
        "seed": run.config.seed,
        "nats_per_note": {
            when: {source: round(m.nats_per_note, 4) for source, m in by_source.items()}
            for when, by_source in measures.items()
        },
    }


def usual_instruments(pieces: Split) -> list[int]:
    """The values of the Instrument tokens that the pieces' heads have most often."""
    instrument = VOCABULARY.type_index["Instrument"]
    heads = Counter[tuple[int, ...]]()
    for piece in pieces:
        head = piece.ids[: int(piece.bars[0])]
        heads[tuple(VOCABULARY.values[head[VOCABULARY.types[head] == instrument]].tolist())] += 1
    return list(heads.most_common(1)[0][0])


def markdown(name: str, card: Mapping[str, Any], measures: Mapping[str, Mapping[str, Likelihood]], machine: str) -> str:
    """The card as Markdown."""
    sources = [
        f"- {source}: licence {said['licence']}{said['credit'] and '; '}{said['credit']}"
        for source, said in card["sources"].items()
    ]
    skipped = [f"- {reason}: {count}" for reason, count in card["skipped"].items()]
    return _CARD.format(
        name=name,
        description=card["description"],
        base=card["base"]["model"],
        checksum=card["base"]["checksum"],
        method=card["method"],
        parameters=card["parameters_learnt"],
        style=card["default_style"],
        steps=card["steps"],
        best=card["best_step"],
        tokens=card["tokens"],
        minutes=card["seconds"] / 60,
        machine=machine,
        seed=card["seed"],
        early="; stopped early, when measures got no better" if card["stopped_early"] else "",
        learned=card["pieces"]["learned_from"],
        notes=card["pieces"]["notes"],
        held=card["pieces"]["held_out"],
        licence=card["licence"],
        likelihood=markdown_table(measures),
        sources="\n".join(sources),
        skipped="\n".join(skipped) or "Nothing.",
    )
