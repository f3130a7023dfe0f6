from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from musegen.corpus.shards import load_split
from musegen.errors import RequestError
from musegen.tokens import VOCABULARY, Remi
from musegen.train.config import TrainConfig
from musegen.train.data import Batch, Sampler, piece_weights

CONFIG = TrainConfig(budget_steps=8, batch_tokens=512, context=192, max_transposition=(-2, 3))


def learned(batch: Batch) -> list[tuple[int, int]]:
    """(token before, target) wherever there is a target."""
    rows, columns = np.nonzero(batch.targets.numpy() >= 0)
    return [(int(batch.ids[r, c + 1]), int(batch.targets[r, c])) for r, c in zip(rows, columns, strict=True)]


def test_batches_follow_from_seed_and_step(shards: Path) -> None:
    split = load_split(shards, "train")
    one, two = Sampler(split, CONFIG), Sampler(split, CONFIG)
    for step in (0, 3, 17):
        assert one.batch(step).ids.equal(two.batch(step).ids)
        assert one.batch(step).attributes.equal(two.batch(step).attributes)
    assert not one.batch(0).ids.equal(one.batch(1).ids)
    other = Sampler(split, replace(CONFIG, seed=1))
    assert not one.batch(0).ids.equal(other.batch(0).ids)


def test_batches_are_full_and_teach_the_next_token(shards: Path) -> None:
    sampler = Sampler(load_split(shards, "train"), CONFIG)
    sizes = []
    for step in range(32):
        batch = sampler.batch(step)
        sizes.append(batch.n_tokens)
        assert batch.ids.shape[1] <= CONFIG.context
        assert all(token == target for token, target in learned(batch))
        assert (batch.ids[:, 0] == VOCABULARY.id("BOS")).all()
    assert 0.6 * 512 < np.mean(sizes) < 1.2 * 512
    lengths = np.array([len(e.ids) for group in sampler.pool(0) for e in group])
    assert lengths.min() < 0.6 * lengths.max()


def test_sources_get_their_share_of_the_tokens(shards: Path) -> None:
    split = load_split(shards, "train")
    sampler = Sampler(split, replace(CONFIG, source_weights={"folk": 0.25, "bach_m21": 0.75}, control_dropout=0.0))
    rng = np.random.default_rng(0)
    tokens = {0: 0, 1: 0}
    for _ in range(400):
        ids = sampler.draw(rng).ids
        tokens[int(VOCABULARY.id("Style", 1) in ids)] += len(ids)
    assert 0.65 < tokens[1] / sum(tokens.values()) < 0.85
    with pytest.raises(RequestError, match="nothing to train on"):
        Sampler(split, replace(CONFIG, source_weights={"folk": 0.0, "bach_m21": 0.0}))


def test_sources_that_are_not_named_share_by_the_root_of_their_tokens(shards: Path) -> None:
    split = load_split(shards, "train")
    lengths, sources = np.diff(split.arrays["pieces"]), split.arrays["sources"]
    weights = piece_weights(split, CONFIG)
    seen = np.bincount(sources, weights * np.minimum(lengths, CONFIG.context))
    roots = np.sqrt(np.bincount(sources, lengths))
    assert np.allclose(seen / seen.sum(), roots / roots.sum())


def test_an_empty_split_is_refused(shards: Path) -> None:
    split = load_split(shards, "train")
    empty = {name: array[:0] for name, array in split.arrays.items()}
    empty |= {"pieces": np.zeros(1, np.int64), "piece_chords": np.zeros(1, np.int64)}
    with pytest.raises(RequestError, match="no pieces in train"):
        Sampler(replace(split, arrays=empty), CONFIG)


def test_the_tokenizer_is_the_one_that_made_the_shards(shards: Path) -> None:
    assert len(load_split(shards, "valid", Remi.vocabulary.fingerprint)) == 2
