from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from musegen.corpus.encode import encode
from musegen.corpus.shards import load_split
from musegen.errors import RequestError
from musegen.score.ops import transpose as transpose_score
from musegen.tokens import VOCABULARY, Remi
from musegen.train.config import TrainConfig
from musegen.train.data import Batch, Example, Sampler, head_rows, transpose, window
from tests.tiny_corpus import tune

CONFIG = TrainConfig(budget_steps=8, batch_tokens=512, context=192, max_transposition=(-2, 3))
BAR = VOCABULARY.type_index["Bar"]


@pytest.mark.parametrize("semitones", [-5, -1, 0, 3, 6])
@pytest.mark.parametrize("voices", [1, 3])
def test_moving_the_ids_is_encoding_the_moved_score(semitones: int, voices: int) -> None:
    score = tune(4, voices=voices)
    piece = encode(score, "folk", "folk")
    moved = encode(transpose_score(score, semitones), "folk", "folk")
    example = transpose(Example(piece.ids, piece.attributes), semitones)
    assert example is not None
    # Six flats or six sharps are one key, and which of the two is written is the only freedom.
    same = example.ids == moved.ids
    assert (VOCABULARY.types[moved.ids[~same]] == VOCABULARY.type_index["Key"]).all()
    assert same.sum() >= len(same) - 1
    assert np.array_equal(example.attributes, moved.attributes)


def test_what_would_leave_the_range_is_not_moved() -> None:
    piece = encode(tune(4), "folk", "folk")
    assert transpose(Example(piece.ids, piece.attributes), 60) is None


def test_windows_open_and_close_at_bar_lines() -> None:
    piece = encode(tune(5, bars=24, voices=2), "folk", "folk")
    n_head = int(piece.bars[0])
    edges = {*piece.bars.tolist(), len(piece.ids)}
    for first in range(24):
        example = window(piece, first, 128, np.arange(n_head))
        start = int(piece.bars[first])
        body = example.ids[n_head:]
        assert np.array_equal(body, piece.ids[start : start + len(body)])
        assert VOCABULARY.types[body[0]] == BAR
        assert start + len(body) in edges
        assert len(example.ids) <= 128
        assert example.unforeseen == (n_head if first else -1)


def test_only_controls_leave_the_head_and_its_order_stays() -> None:
    piece = encode(tune(5), "folk", "folk")
    head = piece.ids[: int(piece.bars[0])]
    rng = np.random.default_rng(0)
    kept = [head_rows(head, rng, 0.5) for _ in range(200)]
    assert np.array_equal(head_rows(head, rng, 0.0), np.arange(len(head)))
    names = [[VOCABULARY.names[i].split("_")[0] for i in head[rows]] for rows in kept]
    assert len({tuple(n) for n in names}) > 50
    for rows, row in zip(kept, names, strict=True):
        assert (np.diff(rows) > 0).all()
        assert {"BOS", "Metre", "Instrument"} <= set(row)
        assert row.count("Pitch") == 2 * row.count("LOW") == 2 * row.count("HIGH")
    assert {"BOS", "Metre", "Instrument"} == set(min(names, key=len))


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


def test_the_bar_that_opens_a_window_is_not_learned(shards: Path) -> None:
    split = load_split(shards, "train")
    config = replace(CONFIG, whole_share=1.0, from_start_share=0.0, control_dropout=0.0)
    rng = np.random.default_rng(0)
    sampler = Sampler(split, config)
    examples = [sampler.draw(rng) for _ in range(50)]
    late = [e for e in examples if e.unforeseen > 0]
    assert len(late) > 30
    assert all(VOCABULARY.types[e.ids[e.unforeseen]] == BAR for e in late)


def test_sources_are_drawn_by_their_weights(shards: Path) -> None:
    split = load_split(shards, "train")
    sampler = Sampler(split, replace(CONFIG, source_weights={"folk": 0.25, "bach_m21": 0.75}, control_dropout=0.0))
    rng = np.random.default_rng(0)
    chorales = np.mean([VOCABULARY.id("Style", 1) in sampler.draw(rng).ids for _ in range(400)])
    assert 0.68 < chorales < 0.82
    with pytest.raises(RequestError, match="nothing to train on"):
        Sampler(split, replace(CONFIG, source_weights={"folk": 0.0, "bach_m21": 0.0}))


def test_an_empty_split_is_refused(shards: Path) -> None:
    split = load_split(shards, "train")
    empty = {name: array[:0] for name, array in split.arrays.items()}
    empty |= {"pieces": np.zeros(1, np.int64), "piece_bars": np.zeros(1, np.int64)}
    with pytest.raises(RequestError, match="no pieces in train"):
        Sampler(replace(split, arrays=empty), CONFIG)


def test_the_tokenizer_is_the_one_that_made_the_shards(shards: Path) -> None:
    assert len(load_split(shards, "valid", Remi.vocabulary.fingerprint)) == 2
