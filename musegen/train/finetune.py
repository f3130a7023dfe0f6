"""A trained model fitted to a folder of music: all its weights, or low-rank adapters beside them.

The pieces are labelled with a style that the model has not heard (user-1 by default), left out of half the examples,
so that the new manner is what it writes unless asked for something else. The row of the embedding for that style
begins as the mean of those of the styles known. Some works are held out; they say before and after what the model
spends on such music, and which of the measures on the way was the best: its averaged weights are kept, and after some
measures that are no better the run ends before its budget.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from musegen import checkpoint
from musegen.corpus.build import Advance, BuildConfig
from musegen.corpus.shards import Split, load_split
from musegen.corpus.splits import Shares
from musegen.errors import RequestError
from musegen.evaluate.likelihood import Likelihood, evaluate
from musegen.models import Dit, Model
from musegen.score.formats import write_bytes
from musegen.tokens import STYLES, VOCABULARY
from musegen.train.adaptation_card import facts, markdown
from musegen.train.config import TrainConfig
from musegen.train.distributed import Place
from musegen.train.excerpts import excerpts, without_style
from musegen.train.objective import scorer
from musegen.train.session import BEST_FILE, carry_on, claimed, machine, shards_of
from musegen.train.state import STATE_FILE, Run, load_state, network_of, start
from musegen.train.trainer import Habits

LORA_LR, FULL_LR = 5e-3, 5e-4
"""Peak learning rates of adapters and of all weights (docs/training.md has the trials)."""


@dataclass(frozen=True)
class FinetuneConfig:
    """How a model is fitted."""

    seconds: float = 300.0
    """Budget in wall time, measuring included; 0 with `steps`."""
    steps: int = 0
    lora_rank: int = 0
    """Rank of the adapters; 0: all weights learn."""
    lr: float | None = None
    """Peak learning rate; None: LORA_LR or FULL_LR."""
    style: str = "user-1"
    """What the new music is called, one of STYLES."""
    valid_percent: int = 10
    """Of the works that are held out; one at least."""
    context: int = 512
    """Longest example in tokens: less than the model's, for time and memory."""
    batch_tokens: int = 2048
    seed: int = 0
    workers: int = 1
    """Processes that read the music."""
    measures: int = 8
    """On the way, evenly, the last at the end."""
    patience: int = 3
    """So many measures in a row that are no better than the best one end the run early; 0: it takes all its budget."""

    def __post_init__(self) -> None:
        """Raise RequestError for values out of range."""
        if self.style not in STYLES:
            raise RequestError(f"unknown style {self.style!r}; the styles are {', '.join(STYLES)}")
        if not 1 <= self.valid_percent <= 50:
            raise RequestError(f"{self.valid_percent} percent held out; choose 1 to 50")

    def train_config(self, context: int) -> TrainConfig:
        """What the trainer is told, for a model of this context."""
        longest = min(self.context, context)
        return TrainConfig(
            budget_seconds=0.0 if self.steps else self.seconds,
            budget_steps=self.steps,
            batch_tokens=max(self.batch_tokens, longest),
            context=longest,
            lr=self.lr or (LORA_LR if self.lora_rank else FULL_LR),
            warmup=0.05,
            final_lr=0.05,
            ema_half_life=0.03,
            lora_rank=self.lora_rank,
            seed=self.seed,
        )


@dataclass(frozen=True)
class Finetuned:
    """What came of it: likelihoods of what is held out, by folder and of all, and the facts of the new card."""

    before: Mapping[str, Likelihood]
    after: Mapping[str, Likelihood]
    card: Mapping[str, Any]


def finetune(
    folders: Sequence[Path],
    base: str | Path,
    output: Path,
    config: FinetuneConfig,
    run_folder: Path,
    place: Place,
    *,
    report: Callable[[str], None] = lambda _line: None,
    advance: Advance = lambda done, total: None,  # noqa: ARG005  # tells nobody
    built: Callable[[dict[str, Any]], None] = lambda _info: None,
) -> Finetuned | int:
    """Fit `base` to the music in `folders` and write `output`, its card beside it; or the signal that stopped it.

    Stopped, it goes on when called again. `built` is called with what shards.json says before training begins.

    Raises:
        RequestError: if there is too little music, or the run's folder holds another run.
        ModelError: if the base cannot be loaded or cannot have adapters.
        FileFormatError: if something cannot be written.
    """
    network, known = checkpoint.load(base)
    network = network.to(place.device)
    settings = config.train_config(network.config.context)
    wishes = {key: value for key, value in asdict(config).items() if key != "workers"}
    made_of = {"base": str(base), "checksum": checkpoint.checksum(base)}
    with claimed(run_folder, {"folders": [str(folder.resolve()) for folder in folders], **made_of, **wishes}):
        if config.lora_rank:
            network_of(network.config, settings)  # before the long work: a wrong rank is told at once
        shares = Shares(config.valid_percent, 0, some_valid=True)
        labels = BuildConfig(style=config.style, restyle=True, workers=config.workers, shares=shares)
        shards, info = shards_of(folders, run_folder, labels, advance)
        built(info)
        learned, held = load_split(shards, "train"), load_split(shards, "valid")
        if not len(learned) or not len(held):
            raise RequestError(_too_little(info, learned, held))
        valid = excerpts(held, settings.context)
        plain = [without_style(piece) for piece in valid]
        before = evaluate(scorer(network), plain, settings.context)
        report(f"before: {before['all'].nats_per_note:.4f} nats a note, held out")

        if (run_folder / STATE_FILE).exists():
            run = load_state(run_folder, place)
        else:
            introduce(network, config.style, known.get("styles", ()))
            run = start(network.config, settings, place, dict(network.named_parameters()))
        best = Best.of(run_folder)
        habits = Habits(
            save_seconds=60.0, measures=config.measures, valid_pieces=len(valid), patience=config.patience
        )  # fmt: skip
        _, stopped = carry_on(run, learned, valid, run_folder, habits, report=report, after_measure=best.look)
    if stopped:
        return stopped
    measures = {"before": before, "after": best.held_out}
    card = facts(run, base, known, info, learned, config.style, measures)
    card |= {"best_step": best.step, "stopped_early": run.progress < 1}
    text = markdown(output.stem, card, measures, machine(place))
    _write(output, base, run, best, card)
    write_bytes(text.encode(), output.with_suffix(".md"), force=True)
    return Finetuned(before, best.held_out, card)


def _too_little(info: Mapping[str, Any], learned: Split, held: Split) -> str:
    """Why the music cannot be learned from."""
    reasons = "; ".join(f"{reason} ({n})" for reason, n in info["dropped"].items()) or "none"
    kept = len(learned) + len(held)
    return (
        f"{kept} piece{'s' * (kept != 1)} to learn from and to hold out; two different works at least are needed. "
        f"Left out: {reasons}"
    )


def introduce(network: Model, style: str, known: Sequence[str]) -> None:
    """Begin the row of a style that the model does not know as the mean of the rows of those it knows."""
    rows = [VOCABULARY.id("Style", STYLES.index(name)) for name in known if name in STYLES]
    if style in known or not rows:
        return
    with torch.no_grad():
        weight = network.embedding.weight
        weight[VOCABULARY.id("Style", STYLES.index(style))] = weight[rows].mean(dim=0)


class Best:
    """The averaged weights of the best measure so far, in memory and in the run's folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / BEST_FILE
        self.tensors: dict[str, Tensor] = {}
        self.held_out: dict[str, Likelihood] = {}
        self.step = 0

    @classmethod
    def of(cls, folder: Path) -> Best:
        """What a stopped run left in its folder, or nothing yet."""
        best = cls(folder)
        if best.path.exists():
            with safe_open(best.path, framework="pt") as stream:
                facts = json.loads(stream.metadata()["musegen"])
                best.tensors = {key: stream.get_tensor(key) for key in stream.keys()}  # noqa: SIM118  # no mapping
            best.step = facts["step"]
            best.held_out = {name: Likelihood(**values) for name, values in facts["held_out"].items()}
        return best

    def look(self, run: Run, held_out: Mapping[str, Likelihood]) -> None:
        """Keep the run's averaged weights if they are the best."""
        if self.held_out and not held_out["all"].nats < self.held_out["all"].nats:  # NaN is no better either
            return
        self.tensors = {name: t.detach().cpu().clone() for name, t in run.average.items()}
        self.held_out, self.step = dict(held_out), run.step
        facts = {"step": self.step, "held_out": {name: asdict(m) for name, m in held_out.items()}}
        write_bytes(to_bytes(self.tensors, {"musegen": json.dumps(facts)}), self.path, force=True)


def _write(output: Path, base: str | Path, run: Run, best: Best, card: Mapping[str, Any]) -> None:
    """Adapters beside their base, or a model of its own."""
    if run.config.lora_rank:
        assert not isinstance(run.model, Dit)  # it takes no adapters
        row = VOCABULARY.id("Style", STYLES.index(card["default_style"]))
        rows = {row: run.model.embedding.weight[row]}
        checkpoint.save_adapters(output, base, best.tensors, rows, card)
        return
    model = network_of(run.model.config, run.config)
    model.load_state_dict(best.tensors, strict=False)
    checkpoint.save(output, model, card)
