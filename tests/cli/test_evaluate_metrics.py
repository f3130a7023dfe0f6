"""`musegen evaluate metrics`: tables for people, JSON and tabs for programs, and what it says of bad input."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from musegen.evaluate import pieces
from musegen.score.formats import read, write
from musegen.score.model import Score, Track
from tests.cli.words import SAMPLE, Run
from tests.tiny_corpus import tune


@pytest.fixture
def songs() -> Path:
    folder = Path("songs")
    for number in range(3):
        write(tune(number, bars=3), folder / f"{number}.mid")
    return folder


def test_one_piece_is_a_table_of_values(run: Run) -> None:
    code, out, err = run("evaluate", "metrics", str(SAMPLE))
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines() if line.strip()}
    assert (code, err) == (0, "")
    assert set(rows) >= set(pieces.METRICS)
    assert rows["polyphony"] == [f"{pieces.METRICS['polyphony'](read(SAMPLE)):.4g}", "pitches"]
    assert rows["chord_tone_rate"] == ["share"], "it has no chords, so no value"


def test_many_pieces_are_summed_up(run: Run, songs: Path) -> None:
    code, out, err = run("evaluate", "metrics", "songs", "--metric", "n_pitches", "--metric", "chord_tone_rate")
    values = sorted(pieces.METRICS["n_pitches"](read(path)) for path in songs.iterdir())
    lines = [line.split() for line in out.splitlines() if line.strip()]
    assert (code, err) == (0, "")
    assert lines[0] == ["metric", "mean", "sd", "min", "median", "max", "pieces", "unit"]
    assert lines[2][0] == "n_pitches" and lines[2][1] == f"{sum(values) / 3:.4g}"
    assert lines[2][3:] == [*(f"{value:g}" for value in values), "3", "pitches"]
    assert lines[3] == ["chord_tone_rate", "0", "share"]


def test_each_is_a_line_a_piece(run: Run, songs: Path) -> None:
    code, out, _ = run("evaluate", "metrics", str(songs), "--each", "--metric", "loop_rate", "--metric", "in_key_rate")
    lines = [line.split("\t") for line in out.splitlines()]
    assert code == 0 and lines[0] == ["file", "loop_rate", "in_key_rate"]
    assert [line[0] for line in lines[1:]] == ["songs/0.mid", "songs/1.mid", "songs/2.mid"]


def test_json_holds_pieces_skipped_files_and_the_summary(run: Run, songs: Path) -> None:
    (songs / "bad.mid").write_bytes(b"no music")
    write(Score(480, (Track(),), end=480), songs / "empty.mid")
    chosen = ("--metric", "pitch_range", "--metric", "chord_tone_ratio")
    code, out, err = run("--json", "evaluate", "metrics", "songs", *chosen)
    record = json.loads(out)
    reasons = {
        "songs/bad.mid": "not a MIDI file (it has no MThd header)",
        "songs/empty.mid": "holds no notes; there is nothing to measure",
    }
    assert code == 0 and record["skipped"] == reasons
    assert err.splitlines() == [
        *(f"skipped {file}: {reason}" for file, reason in reasons.items()), "3 pieces measured, 2 files skipped",
    ]  # fmt: skip
    assert list(record["pieces"]) == ["songs/0.mid", "songs/1.mid", "songs/2.mid"]
    assert record["pieces"]["songs/1.mid"]["chord_tone_ratio"] is None
    assert record["summary"]["chord_tone_ratio"]["n"] == 0 and record["summary"]["chord_tone_ratio"]["mean"] is None
    assert record["summary"]["pitch_range"]["n"] == 3 and record["summary"]["pitch_range"]["unit"] == "semitones"


def test_nothing_to_measure_is_an_error(run: Run, songs: Path) -> None:
    Path("hollow").mkdir()
    (songs / "x.mid").write_bytes(b"no music")
    code, out, err = run("evaluate", "metrics", "hollow")
    assert (code, out) == (2, "") and err.startswith("musegen: hollow: holds no music file; musegen reads .mid, ")
    assert run("evaluate", "metrics", "none.mid") == (2, "", "musegen: none.mid: no such file\n")
    code, out, err = run("evaluate", "metrics", "none.mid", "songs/x.mid")
    assert (code, out) == (2, "")
    assert err.splitlines() == [
        "skipped none.mid: no such file",
        "skipped songs/x.mid: not a MIDI file (it has no MThd header)",
        "musegen: none of 2 files could be measured; each is named with the reason above",
    ]


def test_an_unknown_metric_lists_the_names(run: Run) -> None:
    code, out, err = run("evaluate", "metrics", str(SAMPLE), "--metric", "swing")
    assert (code, out) == (2, "")
    assert err == f"musegen: unknown metric 'swing'; there are {', '.join(pieces.METRICS)}\n"
    assert run("evaluate", "metrics")[0] == 2
    assert run("evaluate", "metrics", str(SAMPLE), "--workers", "0")[0] == 2


def test_several_processes_say_the_same_and_help_loads_nothing(tmp_path: Path) -> None:
    for number in range(70):
        write(tune(number, bars=1), tmp_path / "many" / f"{number}.mid")
    calls = [
        [sys.executable, "-m", "musegen", "--json", "evaluate", "metrics", "many", "--workers", workers]
        for workers in ("1", "2")
    ]
    one, two = (subprocess.run(call, cwd=tmp_path, capture_output=True, check=True).stdout for call in calls)
    assert one == two and len(json.loads(one)["pieces"]) == 70
    code = (
        "import sys\nfrom musegen.cli import main\n"
        "try:\n    main(['evaluate', 'metrics', '--help'])\n"
        "except SystemExit:\n    print([m for m in ('torch', 'music21', 'numpy', 'rich.table') if m in sys.modules])\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ran.stdout.endswith("[]\n") and ran.stdout.count("\n  musegen evaluate metrics ") == 2
