"""All metrics together, over pieces and over files."""

from __future__ import annotations

import math
import pickle
import time
from pathlib import Path

import numpy as np
import pytest

from musegen.errors import RequestError
from musegen.evaluate import pieces
from musegen.score.formats import read, write
from musegen.score.model import Score, Track
from musegen.score.ops import map_times
from tests.tiny_corpus import TICKS, tune

ROOT = Path(__file__).parents[2]
SAMPLES = sorted((ROOT / "midi_samples").glob("*.mid"))
EMPTY = Score(TICKS, (Track(),), end=4 * TICKS)


def test_every_metric_lies_in_the_range_that_it_states() -> None:
    seen = dict.fromkeys(pieces.METRICS, 0)
    for path in SAMPLES:
        for name, value in pieces.evaluate(read(path)).items():
            metric = pieces.METRICS[name]
            assert math.isnan(value) or metric.low - 1e-9 <= value <= metric.high + 1e-9, (path.name, name, value)
            seen[name] += not math.isnan(value)
    assert {name for name, count in seen.items() if not count} == {"chord_tone_rate", "chord_tone_ratio"}
    assert all(metric.source and metric.unit and metric.description for metric in pieces.METRICS.values())


def test_a_histogram_has_one_length_and_sums_to_one_or_is_nan() -> None:
    sizes: dict[str, set[int]] = {name: set() for name in pieces.HISTOGRAMS}
    for path in SAMPLES:
        for name, values in pieces.histograms(read(path)).items():
            sizes[name].add(len(values))
            assert np.isnan(values).all() or values.sum() == pytest.approx(1)
    assert {name: size.pop() for name, size in sizes.items() if len(size) == 1} == {
        "pitch": 128, "pitch_class": 12, "interval": 25, "pitch_class_transition": 144,
        "duration": 15, "inter_onset": 15, "position": 24,
    }  # fmt: skip


def test_neither_resolution_nor_order_of_tracks_changes_a_figure() -> None:
    for path in SAMPLES:
        score = read(path)
        finer = map_times(score, lambda ticks: ticks * 2, ticks_per_beat=2 * score.ticks_per_beat)
        expected = pytest.approx(pieces.evaluate(score), nan_ok=True)
        assert pieces.evaluate(finer) == expected, path.name
        if path.stem == "frere_jacques":
            continue  # a round: its voices are equally high, and then their order counts
        turned = score.with_tracks(score.tracks[::-1])
        names = [name for name in pieces.METRICS if not name.startswith("chord_tone")]
        assert pieces.evaluate(turned, names) == pytest.approx(pieces.evaluate(score, names), nan_ok=True), path.name


def test_names_choose_and_an_unknown_one_lists_all() -> None:
    score = tune(1)
    assert list(pieces.evaluate(score, ["loop_rate", "polyphony"])) == ["loop_rate", "polyphony"]
    with pytest.raises(RequestError, match="unknown metric 'swing'; there are pitch_class_entropy, ") as error:
        pieces.evaluate(score, ["swing"])
    assert all(name in str(error.value) for name in pieces.METRICS)


@pytest.mark.parametrize("function", [pieces.evaluate, pieces.histograms, pieces.validate])
def test_a_piece_without_notes_is_refused(function: object) -> None:
    with pytest.raises(RequestError, match="holds no notes; there is nothing to measure"):
        function(EMPTY)  # type: ignore[operator]


@pytest.mark.parametrize("notes", [[(0, 60, 0, 80)], [(0, 60, 1, 80)], [(10**7, 60, 480, 80)], [(0, 0, 480, 1)] * 3])
def test_odd_pieces_are_measured_without_a_warning(notes: list[tuple[int, ...]]) -> None:
    for is_drum in (False, True):
        score = Score(TICKS, (Track(notes=notes, is_drum=is_drum), Track()))
        assert set(pieces.evaluate(score)) == set(pieces.METRICS)
        assert set(pieces.histograms(score)) == set(pieces.HISTOGRAMS)


def test_the_documentation_has_a_row_for_each_metric_with_its_unit_and_source() -> None:
    text = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
    tables = text.split("### What real music has")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in tables if line[:3] == "| `"]
    explained = {name.strip("` "): row for row in rows if len(row) == 5 for name in row[0].split(",")}
    assert set(explained) == set(pieces.METRICS)
    for name, metric in pieces.METRICS.items():
        assert explained[name][2].startswith(metric.unit) and explained[name][3] == metric.source, name
    assert all(f"`{name}`" in text for name in pieces.HISTOGRAMS)


def folder_of(folder: Path, count: int) -> list[Path]:
    paths = [folder / f"{number:03d}.mid" for number in range(count)]
    for number, path in enumerate(paths):
        write(tune(number, bars=2), path)
    return paths


@pytest.mark.parametrize("workers", [1, 2])
def test_one_bad_file_among_a_hundred_is_named_and_the_rest_measured(tmp_path: Path, workers: int) -> None:
    paths = folder_of(tmp_path, 98)
    bad, empty = tmp_path / "050-bad.mid", tmp_path / "051-empty.mid"
    bad.write_bytes(b"no music")
    write(EMPTY, empty)
    names = ["pitch_range", "loop_rate"]
    results, skipped = pieces.evaluate_files(pieces.music_files([tmp_path]), names, workers=workers)
    assert list(results) == [str(path) for path in paths]
    assert results[str(paths[7])] == pieces.evaluate(read(paths[7]), names)
    assert skipped == {
        str(bad): "not a MIDI file (it has no MThd header)",
        str(empty): "holds no notes; there is nothing to measure",
    }


def test_files_are_found_below_sorted_and_once(tmp_path: Path) -> None:
    for name in ("b.mid", "a/c.MID", "a/b.abc", "a/.mid/x.txt", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_bytes(b"")
    found = pieces.music_files([tmp_path / "b.mid", tmp_path, tmp_path / "notes.txt"])
    assert [str(path.relative_to(tmp_path)) for path in found] == ["b.mid", "a/b.abc", "a/c.MID", "notes.txt"]


def test_an_empty_folder_and_no_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=r"holds no music file; musegen reads \.mid, "):
        pieces.music_files([tmp_path])
    with pytest.raises(RequestError, match="name at least one"):
        pieces.music_files([])
    with pytest.raises(RequestError, match="nowhere: no such file or folder"):
        pieces.music_files([tmp_path / "nowhere"])
    _, skipped = pieces.evaluate_files([tmp_path / "none.mid", tmp_path])
    assert skipped[str(tmp_path / "none.mid")] == "no such file"
    with pytest.raises(RequestError, match="unknown metric"):
        pieces.evaluate_files([tmp_path / "none.mid"], ["swing"])


def test_a_summary_leaves_out_what_is_not_defined() -> None:
    summary = pieces.summarise(
        {"a": {"loop_rate": 1.0, "step_rate": math.nan}, "b": {"loop_rate": 0.5, "step_rate": math.nan}}
    )
    figures = summary["loop_rate"]
    assert (figures.mean, figures.sd, figures.min, figures.median, figures.max) == (0.75, 0.25, 0.5, 0.75, 1)
    assert (figures.n, figures.unit, summary["step_rate"].n) == (2, "share", 0)
    assert math.isnan(summary["step_rate"].mean)
    assert pieces.summarise({}) == {}


def test_metrics_go_to_other_processes() -> None:
    copy = pickle.loads(pickle.dumps(pieces.METRICS))  # noqa: S301  # our own bytes
    assert [metric(tune(2)) for metric in copy.values()] == pytest.approx(
        list(pieces.evaluate(tune(2)).values()), nan_ok=True
    )


def test_a_piece_of_ten_thousand_notes_takes_less_than_a_second() -> None:
    parts = [track.notes.copy() for track in tune(1, bars=700, voices=6).tracks]
    for notes in parts:
        notes["pitch"] = 40 + notes["pitch"] % 50
    piece = Score(TICKS, tuple(Track(notes=notes) for notes in parts))
    assert piece.n_notes > 10_000
    began = time.process_time()
    pieces.evaluate(piece)
    assert time.process_time() - began < 1
