from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from musegen.corpus.shards import Piece
from musegen.score.model import Chord, Score
from musegen.score.ops import transpose as transpose_score
from musegen.tokens import VOCABULARY, Remi, controls_of, to_grid
from musegen.train.config import TrainConfig
from musegen.train.examples import Example, Source, draw, draw_bars, draw_cells, head_rows, transposed
from tests.tiny_corpus import tune

CONFIG = TrainConfig(budget_steps=8, batch_tokens=512, context=256, max_transposition=(0, 0))
PLAIN = replace(CONFIG, mask_share=0.0, control_dropout=0.0, short_share=0.0, chord_share=0.0)
BAR, FILL, MASK = (VOCABULARY.type_index[name] for name in ("Bar", "FILL", "MASK"))
TOKENIZER = Remi()


def piece(score: Score, style: str = "folk") -> Piece:
    grid = to_grid(score)
    ids = TOKENIZER.encode_grid(grid.without_chords(), controls_of(grid, style))
    return Piece(ids=ids, n_notes=score.n_notes, source="folk", chords=grid.chords.astype(np.int16))


def types(example: Example) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return VOCABULARY.types[example.ids]


@pytest.mark.parametrize("semitones", [-5, -1, 0, 3, 6])
@pytest.mark.parametrize("voices", [1, 3])
def test_moving_the_ids_is_encoding_the_moved_score(semitones: int, voices: int) -> None:
    score = tune(4, voices=voices)
    ids = transposed(piece(score).ids, semitones)
    moved = piece(transpose_score(score, semitones)).ids
    # Six flats or six sharps are one key, and which of the two is written is the only freedom.
    same = ids == moved
    assert (VOCABULARY.types[moved[~same]] == VOCABULARY.type_index["Key"]).all()
    assert same.sum() >= len(same) - 1


def test_what_would_leave_the_range_is_not_moved() -> None:
    ids = piece(tune(4)).ids
    assert transposed(ids, 60) is ids


def test_only_controls_leave_the_head_and_its_order_stays() -> None:
    whole = piece(tune(5))
    head = whole.ids[: int(whole.bars[0])]
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


def test_a_window_is_what_the_tokenizer_writes_of_those_bars() -> None:
    score = tune(5, bars=24, voices=2)
    source = Source.of(piece(score))
    rng = np.random.default_rng(1)
    seen = set()
    for _ in range(60):
        example = draw(source, PLAIN, rng)
        first = 23 - int(VOCABULARY.values[example.ids[types(example) == BAR][0]])
        n_bars = int((types(example) == BAR).sum())
        cut = to_grid(score).slice_bars(first, first + n_bars)
        ends = first + n_bars == 24
        expected = TOKENIZER.encode_grid(cut, controls_of(cut, "folk"), bars=24 - first, ends=ends)
        assert np.array_equal(example.ids, expected)
        assert np.array_equal(example.attributes, TOKENIZER.attributes(expected))
        assert len(example.ids) <= PLAIN.context
        opening = int(np.flatnonzero(types(example) == BAR)[0])
        assert example.unlearned is not None
        assert np.flatnonzero(example.unlearned).tolist() == ([opening] if first else [])
        seen.add((first == 0, ends))
    assert len(seen) == 4 or (True, True) not in seen, "24 bars do not fit one window"


def test_masked_examples_hold_the_whole_window_and_do_not_teach_the_marks() -> None:
    source = Source.of(piece(tune(6, bars=12, voices=3)))
    rng = np.random.default_rng(2)
    config = replace(PLAIN, mask_share=1.0, from_start_share=1.0, context=2000, batch_tokens=2000)
    whole = source.grid.notes
    n_masked = 0
    for _ in range(80):
        example = draw(source, config, rng)
        assert example.unlearned is not None
        kinds = types(example)
        assert np.array_equal(TOKENIZER.grid(example.ids).notes, whole)
        assert VOCABULARY.names[example.ids[-1]] == "EOS"
        marks = np.flatnonzero(kinds == MASK)
        assert example.unlearned[marks].all()
        assert (kinds == FILL).sum() == (len(marks) > 0)
        of_track = marks[kinds[marks - 1] == VOCABULARY.type_index["Track"]]
        assert example.unlearned[of_track - 1].all()
        assert example.unlearned.sum() == len(marks) + len(of_track)
        n_masked += len(marks) > 0
    assert n_masked > 70


def test_masks_reach_both_ends_and_take_bars_or_tracks() -> None:
    rng = np.random.default_rng(3)
    cells = [draw_cells(4, 8, rng) for _ in range(400)]
    assert any(c[:, 0].any() and not c[:, -1].any() for c in cells), "nothing stands before it"
    assert any(c[:, -1].any() and not c[:, 0].any() for c in cells), "nothing stands after it"
    assert any(c.all(axis=1).sum() == 3 and not c[0].any() for c in cells), "a melody to be harmonised"
    assert any(c[3].all() and c.all(axis=1).sum() == 1 and c.any(axis=1).sum() == 1 for c in cells), (
        "a bass to be added"
    )
    assert any(c.any(axis=1).sum() == 2 and 0 < c.any(axis=0).sum() < 8 for c in cells)
    alone = [draw_cells(1, 8, rng) for _ in range(100)]
    assert all(1 <= c.sum() < 8 for c in alone)
    assert draw_cells(1, 1, rng).all()


def test_windows_fit_the_context() -> None:
    source = Source.of(piece(tune(7, bars=40, voices=4)))
    for first in (0, 7, 39):
        plain = draw_bars(source, 300, first, masked=False)
        assert first < draw_bars(source, 300, first, masked=True) <= plain
        ids = TOKENIZER.encode_grid(source.grid.slice_bars(first, plain), controls_of(source.grid, "folk"), ends=False)
        assert len(ids) <= 300 or plain == first + 1


def test_chords_are_said_in_the_share_asked_for() -> None:
    score = replace(tune(8, bars=8), chords=(Chord(0, "C"), Chord(480 * 6, "G7/B")))
    source = Source.of(piece(score))
    rng = np.random.default_rng(4)
    config = replace(PLAIN, chord_share=0.5, from_start_share=1.0)
    said = [VOCABULARY.type_index["Chord"] in types(draw(source, config, rng)) for _ in range(200)]
    assert 0.35 < np.mean(said) < 0.65


def test_every_combination_of_controls_is_met_and_none_at_all() -> None:
    source = Source.of(piece(tune(9)))
    rng = np.random.default_rng(5)
    heads = []
    for _ in range(600):
        example = draw(source, replace(PLAIN, control_dropout=1.0, from_start_share=1.0), rng)
        head = example.ids[: int(np.flatnonzero(types(example) == BAR)[0])]
        heads.append(frozenset(VOCABULARY.names[i].split("_")[0] for i in head) - {"Pitch", "HIGH"})
    needed = {"BOS", "Metre", "Instrument"}
    assert frozenset(needed) in heads
    assert max(map(len, heads)) == len(needed) + 7
    assert len(set(heads)) > 80
