"""The scripts that measure what the composer promises, from end to end: random weights, made-up music, seconds."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from musegen import checkpoint
from musegen.corpus.build import BuildConfig, build
from musegen.engine import decoder
from musegen.evaluate.pitch import likeliest_key
from musegen.models import build as build_model
from musegen.models import preset, weights
from musegen.score.model import NOTE_DTYPE, Chord, Score, TimeSignature, Track
from musegen.score.theory import parse_key
from musegen.tokens import VOCABULARY, Remi
from musegen.train.held_out import gather
from tests.tiny_corpus import tune, write_folder

Load = Callable[[str], ModuleType]
Folders = tuple[Path, Path]
SCRIPTS = Path(__file__).parents[1] / "scripts"
SAMPLES = SCRIPTS.parent / "midi_samples"


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Networks this small gain nothing from a second thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def script() -> Iterator[Load]:
    """A script as a module, by name."""
    loaded: list[str] = []

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # dataclasses look their module up
        loaded.append(name)
        spec.loader.exec_module(module)
        return module

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(SCRIPTS)  # as Python does for a script
        yield load
    for name in loaded:
        sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Random weights that keep some hundred tokens in sight."""
    path = tmp_path_factory.mktemp("model") / "random.safetensors"
    tokenizer = Remi()
    torch.manual_seed(0)
    shape = preset("tiny", tokenizer.vocabulary.size, tokenizer.attribute_sizes, context=1024)
    checkpoint.save(path, build_model(shape), {"styles": []})
    return str(path)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    """Tunes and chorales, some of each held out."""
    root = tmp_path_factory.mktemp("music")
    splits = ["train", "valid", "valid", "test"]
    folk = [(f"t{k}", tune(k, bars=16 + k), split, "") for k, split in enumerate(splits)]
    bach = [(f"c{k}", tune(50 + k, bars=16, voices=4, program=52), split, "") for k, split in enumerate(splits)]
    return write_folder(root / "folk", folk), write_folder(root / "bach_m21", bach)


def rows(text: str) -> dict[str, list[str]]:
    """The cells of a Markdown table by the first."""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "|" in line]
    return {row[0]: row[1:] for row in cells}


def test_promises_are_measured(
    script: Load, folders: Folders, model: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    report = script("controls_report")
    monkeypatch.setattr(report, "BARS", 4)
    report.main(["-m", model, "--count", "2", "--styles", "folk,chorale", "--real", *map(str, folders)])
    table = rows(capsys.readouterr().out)
    assert table["pieces"] == ["10", "12"]  # a tune has no polyphony to ask for
    for always in ("4 bars exactly", "metre asked is the metre of every bar", "scale strict: notes in the scale",
                   "instruments asked are the tracks", "tempo asked, kept throughout"):  # fmt: skip
        assert table[always] == ["100.0", "100.0"], always
    assert table["polyphony never above what was asked"] == ["–", "100.0"]
    assert table["pieces, real"] == ["2", "2"]
    fits = [float(cell) for cell in table["chords: beats most of whose notes fit, real"]]
    assert min(fits) > 50  # these are the chords that explain the notes best


def test_ranks_of_equal_values_are_shared(script: Load) -> None:
    report = script("controls_report")
    assert report.mean_ranks(np.array([5, 1, 5, 9])).tolist() == [2.5, 1, 2.5, 4]
    assert report.spearman([(1, 2), (2, 4), (3, 4), (4, 9)]) == pytest.approx(0.9486832980505138)
    assert report.spearman([(1, 3), (2, 2), (3, 1)]) == pytest.approx(-1)


def test_notes_fit_the_chords_that_they_are(script: Load) -> None:
    report = script("controls_report")
    triads = Score(tracks=tuple(replace(track, notes=track.notes[:0]) for track in tune(0).tracks))
    notes = np.zeros(6, tune(0).tracks[0].notes.dtype)
    notes["start"], notes["pitch"] = [0, 0, 0, 1920, 1920, 1920], [60, 64, 67, 62, 65, 69]
    notes["duration"], notes["velocity"] = 1920, 80
    piece = triads.with_tracks([replace(triads.tracks[0], notes=notes)])
    chords = [Chord(0, "C"), Chord(1920, "Dm")]
    assert report.fit(piece, chords).tolist() == [1.0] * 8
    assert report.fit(piece, [Chord(0, "C")]).tolist() == [1.0] * 4 + [0.0] * 4
    assert report.fit(piece, [Chord(0, "N")]).tolist() == []


def test_relatives_share_a_signature(script: Load) -> None:
    report = script("controls_report")
    assert report.related(parse_key("A minor"), parse_key("C major"))
    assert report.related(parse_key("Eb minor"), parse_key("F# major"))
    assert not report.related(parse_key("C minor"), parse_key("C major"))


def test_gaps_are_filled_and_nothing_else_changes(
    script: Load, folders: Folders, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    report = script("infill_report")
    report.main(["-m", model, "--split", "valid", "--pieces", "2", "--files", "3", *map(str, folders)])
    out = capsys.readouterr().out
    lines = [line.split(" | ") for line in out.splitlines() if line.startswith("| valid")]
    assert [line[1] for line in lines] == ["folk", "bach_m21"]
    for line in lines:  # random weights: nearly the entropy of an even choice among what may follow, or more
        assert [int(line[2]), int(line[3])] == [2, 0]
        assert all(5 < float(cell) < 25 for cell in line[5:7])
    assert lines[0][-1].startswith("–") and float(lines[1][-1].strip(" |")) > 5
    assert "Untouched outside the gap: 3 of 3 files (0 refused)." in out


def test_every_form_of_a_gap_is_charged_for_the_same_notes(script: Load, folders: Folders) -> None:
    report = script("infill_report")
    words = [VOCABULARY.type_index[name] for name in ("Pitch", "Add", "Drum", "DrumAdd")]
    for piece in gather(folders, "valid").pieces:
        gap = report.gap_of(piece, 4, 600)
        assert gap is not None and report.longest(gap) <= 600
        forms = [gap.plain(), gap.filled(range(len(gap.grid.programs)))]
        counts = [int(np.isin(VOCABULARY.types[ids[charged]], words).sum()) for ids, charged in forms]
        assert counts == [gap.n_notes] * 2
        single = [gap.filled([track]) for track in gap.tracks]
        assert sum(int(np.isin(VOCABULARY.types[i[c]], words).sum()) for i, c in single) == gap.n_notes
    assert report.gap_of(piece, 4, 100) is None


def test_a_changed_note_outside_is_found(script: Load) -> None:
    report = script("infill_report")
    piece = tune(3)
    notes = piece.tracks[0].notes.copy()
    inside, outside = notes.copy(), notes.copy()
    inside["velocity"][notes["start"] >= 1920 * 11] = 1
    outside["velocity"][0] = 1
    longer = inside.copy()
    longer["duration"][-1] = 5000

    def heard(notes: np.ndarray) -> Score:
        return piece.with_tracks([replace(piece.tracks[0], notes=notes)])

    span = (1920 * 11, 1920 * 12)
    assert report.stands(piece, heard(inside), *span)
    assert not report.stands(piece, heard(outside), *span)
    assert not report.stands(piece, heard(longer), *span)


def test_settings_are_measured_beside_the_real_ones(
    script: Load, folders: Folders, model: str, capsys: pytest.CaptureFixture[str]
) -> None:
    report = script("harmony_report")
    report.main(["-m", model, "--count", "1", "--styles", "hymn", str(folders[1]), str(folders[1])])
    table = rows(capsys.readouterr().out)
    assert table["the hymns' own settings"][:2] == ["1", "1"]
    assert table["Bach's chorales"][:2] == ["4", "4"]
    assert table["musegen, style hymn"][0] == "1"
    assert all(re.fullmatch(r"[\d.]+", cell) for cell in table["Bach's chorales"])


def test_loops_are_timed_in_turn(
    script: Load, folders: Folders, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    build([folders[0]], tmp_path / "shards", (), BuildConfig(workers=1))
    report = script("training_speed")
    monkeypatch.setattr(report, "find_spec", lambda _: None)  # transformers takes seconds to load
    report.main([str(tmp_path / "shards"), "--presets", "tiny", "--seconds", "0.1", "--warm-up", "0", "--repeats", "1"])
    out = capsys.readouterr().out
    found = [line.split(" | ") for line in out.splitlines() if line.startswith("| tiny")]
    assert [line[1] for line in found] == ["musegen", "musegen, single precision", "plain loop"]
    assert found[0][-1] == "1.00 |" and all(int(line[2].replace(",", "")) > 10_000 for line in found)


def test_the_clock_counts_after_the_warm_up(script: Load) -> None:
    clock = script("training_speed").Clock(0, 0)
    assert clock.step(1_000_000) and not clock.step(10)
    assert clock.tokens == 10 and clock.rate > 0


@pytest.mark.parametrize("key", ["C major", "F# major", "A minor", "Eb minor"])
def test_a_cadence_tells_its_key(key: str) -> None:
    tonic, minor = parse_key(key).tonic_pc, parse_key(key).mode == "minor"
    third = 3 if minor else 4
    pitches = np.array([0, third, 7, 5, 8 if minor else 9, 12, 7, 11, 14, 0, third, 7]) + 48 + tonic
    notes = np.zeros(12, NOTE_DTYPE)
    notes["start"], notes["pitch"] = np.repeat(np.arange(4), 3) * 480, pitches
    notes["duration"], notes["velocity"] = 480, 80
    found = likeliest_key(Score(tracks=(Track(notes),)))
    assert (found.tonic_pc, found.mode) == (tonic, parse_key(key).mode)


def test_a_chorale_of_the_benchmark_is_told_whole_by_its_tokens(script: Load) -> None:
    rng = np.random.default_rng(0)
    grid = np.repeat(rng.integers(48, 72, (30, 4)), 3, axis=0).astype(np.int16)
    grid[6:12, 2] = -1
    decoded = Remi().decode(script("jsb_pretrained").piece_of(grid).ids)
    told = np.full_like(grid, -1)
    for voice, track in enumerate(decoded.tracks):
        for note in track.notes:
            step = 4 * note["start"] // decoded.ticks_per_beat
            told[step : step + 4 * note["duration"] // decoded.ticks_per_beat, voice] = note["pitch"]
    assert np.array_equal(told, grid)


@pytest.fixture
def tiny_network(script: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the benchmarks decode with, and no peers beside it."""
    stored = preset("tiny", Remi.vocabulary.size, Remi.attribute_sizes, context=512)
    network = stored, weights(build_model(stored))
    for module in ("decode", "step"):
        monkeypatch.setattr(import_module(f"benchmarks.{module}"), "network_named", lambda _name: network)
    for module in ("peers", "tokens", "compound"):
        monkeypatch.setattr(import_module(f"benchmarks.{module}"), "find_spec", lambda _name: None)
    monkeypatch.setattr(checkpoint, "load_decoder", lambda _name: (decoder(*network), {}))


@pytest.mark.usefixtures("tiny_network")
def test_the_decoding_report(script: Load, tmp_path: Path, capsys: Any) -> None:
    words = ["--networks", "ship", "--threads", "1,2", "--batches", "1,2", "--tokens", "12", "--rounds", "2"]
    assert script("bench").main(["decode", *words, "--json", str(tmp_path / "a")]) == 0
    speeds, bounds = capsys.readouterr().out.strip().split("\n\n")
    [head, _, *lines] = speeds.splitlines()
    assert head.startswith("| network | threads | batch | notes, composing | musegen, composing") and len(lines) == 4
    assert all(line.rstrip(" |").endswith("%") for line in lines)
    assert len(bounds.splitlines()) == 6
    figures = json.loads((tmp_path / "a").read_text())
    assert {row["batch"] for row in figures["rows"]} == {1, 2}
    assert all(len(row["tokens"]) == 2 and min(row["tokens"]) > 0 for row in figures["rows"])


@pytest.mark.usefixtures("script")
def test_what_a_token_needs() -> None:
    shape = preset("tiny", 100, (5, 5), d_model=32, n_layer=2, n_head=2, d_ff=64)
    needs = import_module("benchmarks.bounds").Needs.of(shape, 10)
    layer = 32 * (2 + 2) * 16 + 32 * 32 + 2 * 32 * 64
    assert needs.weights == 2 * layer + 100 * 32
    assert needs.cache == 10 * 2 * 2 * 16 and needs.bytes_of(4) == needs.weights / 4 + needs.cache
    assert needs.multiplications == needs.weights + 10 * 2 * 2 * 32


@pytest.mark.usefixtures("tiny_network")
def test_a_step_is_the_sum_of_its_parts(script: Load, capsys: Any) -> None:
    assert script("bench").main(["step", "--batches", "1,3", "--tokens", "200", "--rounds", "1"]) == 0
    [_, _, *lines] = capsys.readouterr().out.splitlines()
    for line, batch in zip(lines, (1, 3), strict=True):
        found, *parts, whole, unclocked = [float(cell) for cell in line.strip("| ").split(" | ")]
        assert found == batch and sum(parts) == pytest.approx(whole, abs=0.5)
        assert min(parts) >= 0 and min(parts[:4]) > 0 and unclocked > 0


@pytest.mark.usefixtures("tiny_network")
def test_steps_a_note(script: Load, capsys: Any, tmp_path: Path) -> None:
    words = [str(SAMPLES), "--files", "2", "--styles", "folk", "--pieces", "2", "--tokens", "100"]
    assert script("bench").main(["compound", *words, "--json", str(tmp_path / "a")]) == 0
    figures = json.loads((tmp_path / "a").read_text())
    [steps], [calls] = figures["steps"], figures["calls"]
    assert steps["files"] == 2 and steps["notes"] == steps["kept"] < steps["steps"]
    assert 0 < calls["notes"] < calls["tokens"] and 0 < calls["calls"] <= calls["tokens"] + 2
    assert "Not shown" in capsys.readouterr().out


def test_files_are_read_and_written_by_all(script: Load, capsys: Any) -> None:
    assert script("bench").main(["files", str(SAMPLES), "--files", "2", "--rounds", "2"]) == 0
    table, count = capsys.readouterr().out.split("\n\n")
    cells = [line.split(" | ") for line in table.splitlines()[2:]]
    assert [row[1] for row in cells] == ["musegen", "symusic", "miditoolkit", "pretty_midi"] * 2
    assert count.startswith("2 of 2 files")


def test_files_come_back_alike(script: Load) -> None:
    report = script("midi_files_report")
    record = report.gone_through((min(SAMPLES.glob("*.mid")), "here", True))
    assert record.alike and record.found == dict.fromkeys(("symusic, original", *report.OTHERS), record.notes)
    assert report.kept([record])[1][0][5] == "1 of 1" and report.differences([record])[1] == []


def test_what_a_roll_keeps_is_counted_note_by_note(script: Load, capsys: Any, tmp_path: Path) -> None:
    rows = [(0, 60, 480, 80), (160, 64, 160, 80), (170, 64, 100, 80), (490, 66, 470, 80), (960, 120, 479, 80)]
    doubled = [(0, 60, 480, 80), (480, 62, 480, 80), (480, 62, 900, 80), (960, 62, 480, 80)]
    drums = Track([(0, 36, 120, 80)], is_drum=True, channel=9)
    odd = Score(480, (Track([(0, 60, 60, 80)]),), time_signatures=(TimeSignature(0, 3, 32),))
    pieces = [Score(480, (Track(rows), drums)), Score(480, (Track([]), Track(doubled), Track(doubled))), odd]
    write_folder(tmp_path / "made", [(str(k), score, "train", "") for k, score in enumerate(pieces)])
    report = script("roll_report")
    tally = report.Tally()
    for score in pieces:
        report.count(score, 1, tally)
    assert (tally.pieces, dict(tally.refused), tally.crowded, tally.percussion) == (3, {"3/32": 1}, 1, 1)
    # The two of pitch 64 meet in one step; of the second piece's tracks, which share the part, each note stands twice.
    assert (tally.notes, tally.lost, tally.doubled, tally.folded) == (13, 0, 1 + 5, 1)
    onsets, ends = (np.concatenate(shifts) * 480 for shifts in (tally.onsets, tally.ends))
    assert sorted(onsets[onsets != 0].tolist()) == pytest.approx([-40, -10])
    assert sorted(ends[ends != 0].tolist()) == pytest.approx([-420, 40])
    assert (tally.cut, tally.stretched, dict(tally.where)) == (1, 0, {"triplets": 1, "on no grid": 1})
    report.main([str(tmp_path / "made"), "--parts", "1"], standalone_mode=False)
    first, second = capsys.readouterr().out.strip().split("\n\n")
    assert "| made | 3 | 33.33% | 33.33% | 13 | 53.85% | 28.57%" in first
    assert "| 1 notes |" in second and second.endswith("| 3/32 (1) |")


@pytest.mark.usefixtures("tiny_network")
def test_the_report_of_tokens(script: Load, capsys: Any) -> None:
    assert script("bench").main(["tokens", str(SAMPLES), "--files", "2", "--rounds", "1"]) == 0
    works = [line.split(" | ")[1] for line in capsys.readouterr().out.splitlines()[2:]]
    assert works == ["encode", "decode", "file to ids", "ids to file"]


def test_the_benchmarks_are_told_by_name(script: Load, capsys: Any) -> None:
    bench = script("bench")
    assert bench.main(["--help"]) == 0 and bench.main([]) == 2 and bench.main(["nonsense"]) == 2
    told = capsys.readouterr().out
    assert all(f"bench.py {name} " in told for name in bench.COMMANDS)
