"""`musegen evaluate originality` and `--max-copy` on the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from musegen import checkpoint
from musegen.evaluate.originality_index import Work, build, save
from musegen.score.formats import read, write
from musegen.score.model import Score, Track
from musegen.score.ops import transpose
from tests.cli.words import Run
from tests.tiny_corpus import tune

SAMPLES = Path(__file__).parents[2] / "midi_samples"
WISH = ("--bars", "4", "--meter", "4/4", "--style", "folk", "--polyphony", "1")


def test_a_known_tune_is_named(run: Run) -> None:
    code, out, err = run("evaluate", "originality", str(SAMPLES / "amazing_grace.mid"))
    assert code == 0
    assert '35 notes of "Amazing Grace" (openhymnal), unchanged, in bars 1 to 16 of track 1: 100 % of the piece' in out
    assert "of 460 real pieces share as much or more" in out
    assert err.startswith("compared 1 piece with 8411 works (3782 folk, 205 openhymnal, 198 bach_m21, 1192 lieder, ")


def test_one_file_that_cannot_be_read_does_not_stop_the_rest(run: Run) -> None:
    write(transpose(read(SAMPLES / "amazing_grace.mid"), 2), Path("songs/a.mid"))
    write(Score(480, (Track(tune(1).tracks[0].notes, is_drum=True),)), Path("songs/b.mid"))
    Path("songs/c.mid").write_bytes(b"no midi")
    code, out, err = run("evaluate", "originality", "songs")
    assert code == 0 and out.count("\n") == 1 and "+2 semitones" in out
    assert "skipped songs/b.mid: has only drums" in err and "skipped songs/c.mid" in err and "2 files skipped" in err
    code, out, _ = run("--json", "evaluate", "originality", "songs")
    record = json.loads(out)
    assert code == 0 and set(record["skipped"]) == {"songs/b.mid", "songs/c.mid"}
    assert record["index"]["works"].items() >= {"folk": 3782, "openhymnal": 205, "bach_m21": 198}.items()
    found = record["pieces"]["songs/a.mid"]
    assert (found["notes"], found["changes"], found["transposition"], found["share"]) == (35, 0, 2, 1.0)
    assert found["work"]["title"] == "Amazing Grace" and 0 < found["real_share"] < 0.1


def test_another_index_and_a_piece_that_shares_nothing(run: Run) -> None:
    save(build([(Work("a", "", "mine"), tune(1))]), Path("mine.npz"))
    write(tune(1), Path("a.mid"))
    write(Score(480, (Track([(0, 60, 480, 80)]),)), Path("b.mid"))
    code, out, err = run("evaluate", "originality", "a.mid", "b.mid", "--index", "mine.npz")
    first, second = out.splitlines()
    assert code == 0 and err == "compared 2 pieces with 1 work (1 mine)\n"
    assert first.startswith(f'a.mid: {tune(1).n_notes} notes of "a" (mine), unchanged') and first.endswith(
        "of the piece"
    )
    assert second == "b.mid: shares no passage with the training set"


def test_wrong_calls_are_told_in_one_line(run: Run) -> None:
    write(Score(), Path("silent.mid"))
    Path("x.npz").write_bytes(b"PK")
    for words, expected in (
        (["silent.mid"], "silent.mid: has no notes"),
        (["nothing.mid"], "nothing.mid: no such file"),
        (["silent.mid", "nothing.mid"], "none of 2 files could be compared"),
        (["silent.mid", "--index", "x.npz"], "x.npz: damaged, or no index of originality"),
        (["silent.mid", "--index", "y.npz"], "y.npz: no such index"),
    ):
        code, out, err = run("evaluate", "originality", *words)
        assert code == 2 and out == "" and expected in err.splitlines()[-1]


def test_help_loads_nothing_heavy() -> None:
    call = (
        "import sys; from musegen.cli import main\n"
        "try: main(['evaluate', 'originality', '--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in ('numpy', 'torch', 'music21', 'sklearn') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", call], check=True, capture_output=True, text=True)
    assert result.stdout.splitlines()[-1] == "[]"


@pytest.fixture
def copier(run: Run) -> str:
    """A model of random weights that was trained on what it writes with seed 5."""
    network, card = checkpoint.load("tiny-random")
    checkpoint.save(Path("mine.safetensors"), network, card)
    run("compose", "-m", "mine.safetensors", *WISH, "--seed", "5", "-o", "first.mid")
    save(build([(Work("first", "First", "mine"), read("first.mid"))]), Path("mine.originality.npz"))
    return "mine.safetensors"


def test_compose_draws_again_and_says_so(run: Run, copier: str) -> None:
    call = ("compose", "-m", copier, *WISH, "--max-copy", "12", "--seed", "4", "-n", "2")
    code, out, err = run("--json", *call, "-o", "songs/x.mid")
    assert code == 0 and [piece["redraws"] for piece in json.loads(out)["pieces"]] == [0, 1]
    assert "1 piece drawn again, 1 time in all" in err
    assert "--max-copy 12 --model mine.safetensors --seed 5" in run("info", "songs/x-002.mid")[1]
    run("compose", "-m", copier, *WISH, "--max-copy", "12", "--seed", "5", "-o", "again.mid")
    assert Path("again.mid").read_bytes() == Path("songs/x-002.mid").read_bytes() != Path("first.mid").read_bytes()


def test_batch_draws_again_and_a_row_may_say_how_much(run: Run, copier: str) -> None:
    Path("plan.csv").write_text("max_copy,seed\n12,5\n,5\n3,5\n", encoding="utf-8")
    code, out, err = run("--json", "batch", "plan.csv", "-m", copier, *WISH, "-o", "songs")
    assert code == 1 and "max_copy is 3; it goes from 8 to 1000" in err
    assert "1 piece drawn again, 1 time in all" in err
    assert json.loads(out)["redraws"] == 1
    pitches = [read(Path("songs") / f"song-00{i}.mid").tracks[0].notes["pitch"].tolist() for i in (1, 2)]
    assert pitches[0] != pitches[1] == read("first.mid").tracks[0].notes["pitch"].tolist()


def test_max_copy_has_a_range_and_no_place_in_a_continuation(run: Run) -> None:
    assert run("compose", "--max-copy", "7")[0] == 2
    code, _, err = run("continue", "x.mid", "--max-copy", "20")
    assert code == 2 and "--max-copy" in err
