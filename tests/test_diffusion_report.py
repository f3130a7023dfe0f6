"""The reports on the diffusion model, from end to end: random weights, made-up music, seconds."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from importlib import import_module
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from musegen.compose import load
from musegen.compose.denoising import Recipe
from musegen.corpus.build import BuildConfig, build
from musegen.evaluate import two_sample
from musegen.score.model import Score
from musegen.score.ops import transpose
from tests.tiny_corpus import tune, write_folder

SCRIPTS = Path(__file__).parents[1] / "scripts"
TINY = ("-m", "tiny-diffusion")
Report = Any
"""The script's main."""


@pytest.fixture(scope="module")
def report() -> Iterator[Report]:
    """The script's main."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(SCRIPTS)  # as Python does for a script
        spec = importlib.util.spec_from_file_location("diffusion_report", SCRIPTS / "diffusion_report.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module.main


def tunes_of(voices: int, count: int) -> list[Score]:
    """Walks that stay on the roll."""
    walks = (tune(seed, bars=24, voices=voices, program=52 if voices > 1 else 73) for seed in range(1000))
    return list(islice((w for w in walks if all(24 <= p <= 107 for t in w.tracks for p in t.notes["pitch"])), count))


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Tunes and chorales of 24 bars, six of each held out."""
    root = tmp_path_factory.mktemp("music")
    splits = ["train", *["valid"] * 6]
    tunes, chorales = (tunes_of(voices, len(splits)) for voices in (1, 4))
    folk = [(f"t{k}", piece, split, "") for k, (piece, split) in enumerate(zip(tunes, splits, strict=True))]
    bach = [(f"c{k}", piece, split, "") for k, (piece, split) in enumerate(zip(chorales, splits, strict=True))]
    folders = [write_folder(root / "folk", folk), write_folder(root / "bach_m21", bach)]
    build(folders, root / "shards", (), BuildConfig(workers=1))
    return str(root / "shards")


def lines(capsys: Any) -> list[list[str]]:
    """The rows of all tables printed, without their heads."""
    out = capsys.readouterr().out.splitlines()
    heads = {i for i, line in enumerate(out) if i + 1 < len(out) and out[i + 1].startswith("|---")}
    found = [line for i, line in enumerate(out) if line.startswith("|") and i not in heads and "|---" not in line]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in found]


def width(path: Path) -> int:
    with Image.open(path) as image:
        return int(image.width)


def module(name: str) -> ModuleType:
    return import_module(f"diffusion_reports.{name}")


def test_likelihood_of_each_split(report: Report, shards: str, capsys: Any) -> None:
    assert report(["likelihood", shards, *TINY, "--splits", "valid", "--pieces", "2"]) == 0
    found = {row[0]: row[1:] for row in lines(capsys)}
    assert list(found) == ["bach_m21", "folk", "all"]
    clips, bits, nats = found["all"]
    assert int(clips) == 16 and float(bits) > 100 and float(nats) > 1


def test_every_sampler_schedule_churn_and_guidance_is_a_row(
    report: Report, shards: str, tmp_path: Path, capsys: Any
) -> None:
    words = ["--styles", "folk,chorale", "--pieces", "1", "--samplers", "ddpm,heun", "--steps", "2,3", "--long", ""]
    words += ["--schedules", "karras", "--churns", "0.2", "--guidances", "1,2", "--base-steps", "3"]
    figures = tmp_path / "figures.json"
    assert report(["steps", shards, *TINY, *words, "--json", str(figures)]) == 0
    parts = [row[0] for row in lines(capsys)]
    assert parts == ["sampler"] * 4 + ["schedule", "churn", "guidance", "guidance", "real"]
    [ddpm, _, heun, *_, plain, guided] = json.loads(figures.read_text())["rows"]  # of as many steps
    windows = 3  # of the 4 bars that this network sees, over 8
    assert ddpm["calls"] < heun["calls"] and plain["calls"] == 3 * windows < guided["calls"]


def test_lines_over_steps(report: Report, tmp_path: Path) -> None:
    plot = module("plot")
    curves = {"ddpm": [(4, 9.0), (100, 3.0)], "heun": [(16, 2.0)]}
    plot.draw(curves, tmp_path / "a.png", across="steps", up="distance", level=("real", 1.5))
    assert width(tmp_path / "a.png") == plot.WIDTH
    assert plot._ticks(9.0) == [0, 2, 4, 6, 8, 10] and plot._ticks(0) == [0, 1]


def test_clips_are_told_from_real_ones_beside_another_model(report: Report, shards: str, capsys: Any) -> None:
    pytest.importorskip("sklearn")
    words = ["--styles", "folk", "--pieces", "2", "--beside", "tiny-random", "--steps", "2", "--halves", "1"]
    assert report(["quality", shards, *TINY, *words]) == 0
    compared, counted = lines(capsys)[:2], lines(capsys)
    assert [row[:2] for row in compared] == [["folk", "diffusion"], ["folk", "tiny-random"]] and not counted
    assert all(row[5] == "–" for row in compared)  # two clips are too few to compare


def test_a_comparison_is_that_of_the_command_line(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    monkeypatch.setattr(two_sample, "TREES", 5)
    clips, quality = module("clips"), module("quality")
    frame = clips.Frame("folk", (4, 4), "major", (73,), 0, 16)
    scores = [clips.on_grid(tune(k), frame, 0, 4) for k in range(20)]
    fast = [clips.on_grid(transpose(tune(99 + k, voices=2), 5), frame, 0, 4) for k in range(20)]
    real = [clips.Real(f"work {k}", frame, score) for k, score in enumerate(fast)]
    found = quality.compared(scores, real, 1)
    assert 0 <= found["auc"]["value"] <= 1 and found["frechet"]["value"] >= 0 and len(found["told_by"]) == 4


def test_degenerate_clips_are_counted(report: Report) -> None:
    clips, figures = module("clips"), module("figures")
    frame = clips.Frame("folk", (4, 4), "major", (73,), 0, 16)
    states = np.zeros((4, 128, 84), np.uint8)
    empty = frame.score(states)
    states[0, ::4, 36] = 1
    one = frame.score(states)
    states[0, ::4, 37] = 1
    two = frame.score(states)
    found = figures.counts([empty, one, two], 8)
    assert (found.empty, found.one_class, found.one_chord) == pytest.approx((1 / 3,) * 3)
    assert found.fragments == 1 and found.out_of_key == pytest.approx(1 / 3)
    assert found.at_once == pytest.approx(0.5) and found.notes_a_bar == pytest.approx(96 / 24)


def test_a_frame_is_what_the_model_was_trained_on(report: Report, shards: str) -> None:
    from musegen.train.roll_pieces import RollPiece, cut

    clips = module("clips")
    network = load("tiny-diffusion")._network  # type: ignore[attr-defined]
    found = clips.real_clips(Path(shards), ["valid"], ["chorale"], network.config)["chorale"]
    assert len(found) == 18 and {clip.frame.total for clip in found} == {24}
    from musegen.corpus.shards import load_split

    split = load_split(Path(shards), "valid")
    by_work = {f"valid {p.source} {i}": RollPiece.of(p, 4) for i, p in enumerate(split)}
    for clip in found[:5]:
        canvas, piece = clip.frame.canvas(network.config), by_work[clip.work]
        first = clip.frame.first
        _, told, beats, _ = cut(piece, piece.stretches[0], first, first + 8, network.config)
        assert canvas.beats.tolist() == beats.tolist() and (canvas.clip == told * [1, 1, 0, 1]).all()
    score = clips.drawn(network, found[0].frame, Recipe(steps=2), (), 0)
    assert len(score.tracks) == 4 and score.end == found[0].score.end


def test_speed_and_memory(report: Report, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    report(["--help"])
    monkeypatch.setattr(module("unet"), "find_spec", lambda _: None)  # diffusers takes seconds to load
    monkeypatch.setenv("PYTHONPATH", str(SCRIPTS.parent))
    capsys.readouterr()
    assert report(["speed", *TINY, "--batches", "1", "--rounds", "1", "--style", "folk"]) == 0
    [[batch, seconds, unet, _, megabytes, _]] = lines(capsys)
    assert (batch, unet) == ("1", "–") and float(seconds) > 0 and float(megabytes) > 50


def test_what_is_known_stands(report: Report, shards: str, capsys: Any) -> None:
    words = ["--styles", "chorale", "--pieces", "1", "--beside", ""]
    assert report(["uses", shards, *TINY, *words]) == 0
    found = lines(capsys)
    uses = {row[0]: row[1:] for row in found[:3]}
    for name in ("infill", "continue", "harmonize"):
        _, pieces, refused, known, kept, added, whole, _ = uses[name]
        assert int(pieces) + int(refused) == 1 and known == kept and added == "0" and whole == pieces
    assert [row[1] for row in found[3:9]] == ["diffusion", "the piece itself"] * 3


def test_a_seam_is_what_lies_between_two_bars(report: Report) -> None:
    pieces = module("pieces")
    score = tune(0, bars=20)
    onsets, apart, common = pieces.seam(score, 8)
    assert onsets >= 0 and apart >= 0 and 0 <= common <= 1
    assert pieces.given(score, "continue", ())[0, 1, 2, 3, 4] == 0
    assert pieces.given(score, "harmonize", (0,)).total() == score.n_notes
    assert pieces.given(score, "infill", ()).total() < score.n_notes


def test_pictures_side_by_side(report: Report, shards: str, tmp_path: Path, capsys: Any) -> None:
    assert report(["sheet", shards, str(tmp_path / "a.png"), *TINY, "--styles", "folk,chorale", "--pieces", "1"]) == 0
    assert capsys.readouterr().out.startswith("4 pictures") and width(tmp_path / "a.png") > 3000


def test_the_reports_are_told_by_name(report: Report, capsys: Any) -> None:
    assert report(["--help"]) == 0 and report([]) == 2 and report(["nonsense"]) == 2
    told = capsys.readouterr().out
    assert all(f"diffusion_report.py {name} " in told for name in report.__globals__["COMMANDS"])
