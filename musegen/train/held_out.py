"""Models measured on music that they have not seen: folders, files or shards in, likelihoods out.

A folder with a manifest.csv gives the pieces of one split, encoded as the corpus encodes its source (style said,
mechanical velocities levelled) but not cleaned, so that every piece counts that tokens can hold; what they cannot
hold is named. Any other folder or file gives all its pieces, without a style. A folder of shards gives one split.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from musegen import checkpoint
from musegen.corpus.clean import level_velocities
from musegen.corpus.encode import piece_of
from musegen.corpus.manifest import read_manifest
from musegen.corpus.shards import INFO_FILE, Piece, load_split
from musegen.corpus.sources import source_of
from musegen.errors import ModelError, RequestError
from musegen.evaluate.files import map_files, music_files
from musegen.evaluate.likelihood import Likelihood, Scorer, evaluate
from musegen.evaluate.markov import MarkovModel, best_discount, transpositions
from musegen.models import Dit, Model
from musegen.score.model import Score
from musegen.tokens import Remi
from musegen.train.objective import scorer
from musegen.train.state import STATE_FILE, averaged, load_state

DISCOUNTS = (2.0, 4.0, 8.0, 16.0, 32.0)
"""Discounts tried on valid: large ones, since twelve transpositions count what has no pitch twelve times."""
MARKOV_CONTEXT = 512
MANIFEST = "manifest.csv"


@dataclass(frozen=True)
class HeldOut:
    """Pieces to measure on, and why the others are none: file -> reason."""

    pieces: tuple[Piece, ...]
    skipped: Mapping[str, str]


def gather(paths: Iterable[Path], split: str = "test", *, level: bool = False, workers: int = 1) -> HeldOut:
    """The pieces in folders with a manifest (of this split), shards (likewise), other folders and files.

    With `level` all notes of a piece are equally loud, so that no dynamics are charged.

    Raises:
        RequestError: if there is no music there, or `level` is asked of shards.
        FileFormatError, ModelError: if a manifest or shards cannot be read.
    """
    pieces: list[Piece] = []
    skipped: dict[str, str] = {}
    for path in dict.fromkeys(paths):
        if (path / INFO_FILE).is_file():
            if level:
                raise RequestError(f"{path}: shards are encoded already, --level does nothing; leave it out")
            pieces += load_split(path, split, Remi().vocabulary.fingerprint)
            continue
        if (path / MANIFEST).is_file():
            files = [row.file for row in read_manifest(path) if row.split == split and "duplicate" not in row.tags]
        else:
            files = music_files([path])
        name = path.resolve().name if path.is_dir() else path.resolve().parent.name
        found, reasons = map_files(partial(_encoded, name, level), files, workers=workers)
        pieces += found.values()
        skipped |= reasons
    if not pieces:
        if not skipped:
            raise RequestError(f"nothing to measure on: there is no piece of split {split}; choose another --split")
        file, reason = next(iter(skipped.items()))
        raise RequestError(f"nothing to measure on: of {len(skipped)} files none can be used ({file}: {reason})")
    return HeldOut(tuple(pieces), skipped)


def _encoded(source: str, level: bool, score: Score) -> Piece:
    """A piece as the corpus would encode it."""
    if level:
        score = level_velocities(score)
    if not score.n_notes:
        raise RequestError("holds no notes")
    return piece_of(score, source, source_of(source), frozenset(), chords=False)


def network(name: str) -> Model:
    """A shipped model by name, that of a .safetensors file, or the averaged weights of a training run's folder."""
    if (Path(name) / STATE_FILE).exists():
        model = averaged(load_state(Path(name)))
        if isinstance(model, Dit):
            raise ModelError(f"{name} trains a model of piano rolls, not of tokens; name a run of a model of tokens")
        return model
    return checkpoint.load(name)[0]


def markov(shards: Path, order: int, context: int) -> MarkovModel:
    """Count the train split in twelve keys; the discount is the one of DISCOUNTS that valid likes best."""
    tokenizer = Remi()
    maps = [tokenizer.transposition(k) for k in range(-5, 7)]
    train = load_split(shards, "train", tokenizer.vocabulary.fingerprint)
    rows = [row for piece in train for row in transpositions(piece.ids, maps)]
    model = MarkovModel(rows, tokenizer.vocabulary.size, order)
    return best_discount(model, DISCOUNTS, list(load_split(shards, "valid")), context)


def measured(
    pieces: Sequence[Piece],
    models: Iterable[str],
    *,
    markov_of: Path | None = None,
    order: int = 5,
    context: int | None = None,
) -> dict[str, dict[str, Likelihood]]:
    """Each model's name -> its likelihoods by source; with `markov_of`, a Markov model counted on those shards too.

    A window has at most `context` tokens, and never more than the model can see.
    """
    scorers: dict[str, tuple[Scorer, int]] = {}
    names = list(dict.fromkeys(models))
    short = [Path(name).name for name in names]
    for name, base in zip(names, short, strict=True):
        model = network(name)
        size = f"{model.config.architecture}, {model.n_parameters / 1e6:.1f} M"
        label = f"{base if short.count(base) == 1 else name} ({size})"
        scorers[label] = scorer(model), min(context or model.config.context, model.config.context)
    if markov_of is not None:
        baseline = markov(markov_of, order, context or MARKOV_CONTEXT)
        scorers[f"Markov, order {order} (discount {baseline.discount:g})"] = baseline, context or MARKOV_CONTEXT
    return {label: evaluate(score, pieces, seen) for label, (score, seen) in scorers.items()}
