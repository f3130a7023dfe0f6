from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from musegen.errors import FileFormatError, RequestError
from musegen.evaluate.chorales import END, FILE, HOLD, REST, Cost, Grid, evaluate, from_events, markdown_table, read
from musegen.evaluate.chorales import to_events as events_of

PITCHES = st.sampled_from([REST, 48, 60, 61, 127, 0])
GRIDS = st.integers(1, 12).flatmap(lambda steps: arrays(np.int16, (steps, 4), elements=PITCHES))


@given(GRIDS)
def test_a_grid_comes_back_from_its_events(grid: Grid) -> None:
    assert np.array_equal(from_events(events_of(grid)), grid)


def test_what_stays_is_held_and_the_end_is_an_event() -> None:
    grid = np.array([[60, 55, 52, REST], [60, 57, 52, REST], [62, 57, REST, 48]], np.int16)
    assert events_of(grid).tolist() == [
        60, 55, 52, REST, HOLD, 57, HOLD, HOLD, 62, HOLD, REST, 48, END,
    ]  # fmt: skip


@pytest.mark.parametrize("events", [[], [60, 55, 52, 48], [60, 55, END], [60, END, 52, 48, END]])
def test_events_without_an_end_are_refused(events: list[int]) -> None:
    with pytest.raises(RequestError, match="END"):
        from_events(np.array(events, np.int16))


def test_the_figure_weighs_cells_and_charges_the_ends() -> None:
    grids = [np.full((2, 4), 60, np.int16), np.full((6, 4), 60, np.int16)]
    costs = [Cost(np.ones((2, 4)), 1.0), Cost(np.zeros((6, 4)), 3.0)]
    figure = evaluate(costs, grids)
    assert figure.nats_per_cell == pytest.approx((8 + 4) / (4 * 8))
    assert figure.by_voice == pytest.approx((2 / 8,) * 4)
    assert "| model | 0.3750 |" in markdown_table({"model": {"valid": figure}})


def test_costs_of_another_shape_or_without_end_are_refused() -> None:
    grid = np.full((2, 4), 60, np.int16)
    for cost in (Cost(np.ones((3, 4)), 0.0), Cost(np.full((2, 4), np.inf), 0.0), Cost(np.ones((2, 4)), np.nan)):
        with pytest.raises(RequestError, match="finite"):
            evaluate([cost], [grid])
    with pytest.raises(RequestError, match="no chorales"):
        evaluate([], [])


def test_a_file_is_read_by_split_and_a_bad_one_refused(tmp_path: Path) -> None:
    piece = [[60, 55, 52, 48], [60, 55, 52, -1]]
    path = tmp_path / FILE
    path.write_text(json.dumps({"train": [piece], "valid": [], "test": [piece, piece]}))
    grids = read(tmp_path)
    assert [len(grids[split]) for split in ("train", "valid", "test")] == [1, 0, 2]
    assert grids["train"][0].tolist() == piece
    for text, words in (
        ("{", "JSON"),
        ("[]", "no lists"),
        (json.dumps({"train": [[[60, 55, 52]]], "valid": [], "test": []}), "train 0"),
        (json.dumps({"train": [[[60, 55, 52, 128]]], "valid": [], "test": []}), "0 to 127"),
        (json.dumps({"train": [[[60, 55, 52, "a"]]], "valid": [], "test": []}), "whole numbers"),
    ):
        path.write_text(text)
        with pytest.raises(FileFormatError, match=words):
            read(path)
    with pytest.raises(FileFormatError, match="no such file"):
        read(tmp_path / "nowhere.json")
