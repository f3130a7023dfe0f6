"""`musegen train`: from a folder or shards to weights, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from musegen import checkpoint
from musegen.evaluate.likelihood import EncodedPiece, Likelihood, Scorer, evaluate
from musegen.score.formats import read, write
from tests.cli.words import Run
from tests.tiny_corpus import tune, write_folder

QUICK = ("--preset", "tiny", "--threads", "1", "--train-option", "batch_tokens=256")


@pytest.fixture
def songs(run: Run) -> None:
    for i in range(6):
        write(tune(i, bars=8), Path(f"songs/t{i}.mid"))
    write(tune(9, bars=2), Path("songs/short.mid"))


def test_a_folder_becomes_a_model_with_card_log_and_curve(run: Run, songs: None) -> None:
    code, out, err = run("train", "songs", "-o", "new.safetensors", "--steps", "3", "--style", "jazz", *QUICK)
    files = ["new.safetensors", "new.md", "new.csv", "new.png"]
    assert (code, out.splitlines()) == (0, files)
    assert "shorter than 4 bars" in err and "| valid |" in err
    assert sorted(map(str, Path().iterdir())) == sorted([*files, "songs"]), "the run's folder is gone"
    model, card = checkpoint.load(Path("new.safetensors"))
    assert model.config.d_model == 32 and card["licence"] == "not stated"
    assert card["styles"] == ["jazz"] and card["default_style"] == "jazz"
    text = Path("new.md").read_text(encoding="utf-8")
    assert "musegen train shards -o new.safetensors" in text and "--steps 3" in text
    code, _, err = run("train", "songs", "-o", "new.safetensors", "--steps", "3", *QUICK)
    assert code == 2 and "--force" in err


@pytest.mark.parametrize(("words", "name"), [(("--style", "jazz"), "jazz"), ((), "piece")])
def test_a_new_piece_is_in_the_style_that_was_learned_or_in_none(
    run: Run, songs: None, words: tuple[str, ...], name: str
) -> None:
    assert run("train", "songs", "-o", "new.safetensors", "--steps", "1", *words, *QUICK)[0] == 0
    plain = ("compose", "-m", "new.safetensors", "--bars", "1", "--meter", "2/4", "--seed", "3")
    assert run(*plain)[:2] == (0, f"{name}-3.mid\n")
    made = read(f"{name}-3.mid")
    assert made.title.startswith(name.title())
    if words:
        assert run(*plain, *words, "-o", "said.mid")[0] == 0
        assert read("said.mid").tracks == made.tracks


def test_valid_is_measured_once(run: Run, songs: None, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = []

    def told(scorer: Scorer, pieces: Sequence[EncodedPiece], context: int) -> dict[str, Likelihood]:
        measured.append(len(pieces))
        return evaluate(scorer, pieces, context)

    monkeypatch.setattr("musegen.train.objectives.evaluate", told)
    code, _, err = run("train", "songs", "-o", "new.safetensors", "--steps", "1", *QUICK)
    assert code == 0, err
    assert len(measured) == 1, "and no test split here"
    rows = Path("new.csv").read_text(encoding="utf-8").splitlines()
    assert str(checkpoint.card(Path("new.safetensors"))["nats_per_note"]["valid"]["all"]) in rows[-1]


def test_a_named_run_is_kept_and_goes_on_only_with_the_same_wishes(run: Run, songs: None) -> None:
    words = ("train", "songs", "-o", "a.safetensors", "--run", "kept", "--steps", "3", "--force", *QUICK)
    assert run(*words)[0] == 0 and Path("kept/state.safetensors").exists()
    code, out, _ = run("--json", *words)
    record = json.loads(out)
    assert code == 0 and record["steps"] == 3 and record["skipped"] == {"songs: shorter than 4 bars": 1}
    code, _, err = run(*words, "--seed", "5")
    assert code == 2 and "holds a run with seed 0, not 5" in err
    assert Path("kept/state.safetensors").exists()


def test_shards_are_taken_as_they_are_and_need_pieces_to_measure_on(run: Run) -> None:
    write_folder(Path("all/folk"), [(f"t{i}", tune(i), "valid" if i == 0 else "train", "") for i in range(3)])
    write_folder(Path("none/folk"), [(f"t{i}", tune(i), "train", "") for i in range(3)])
    for name in ("all", "none"):
        assert run("corpus", "build", f"{name}/folk", "-o", f"shards-{name}", "--workers", "1")[0] == 0
    code, _, err = run("train", "shards-none", "-o", "x.safetensors", "--steps", "1", *QUICK)
    assert code == 2 and "no piece in valid" in err and not Path("x.run").exists()
    code, _, err = run("train", "shards-all", "-o", "x.safetensors", "--steps", "1", "--style", "jazz", *QUICK)
    assert code == 2 and "their styles already" in err
    code, _, err = run("train", "shards-all", "all/folk", "-o", "x.safetensors", "--steps", "1", *QUICK)
    assert code == 2 and "name it alone" in err
    assert run("train", "shards-all", "-o", "x.safetensors", "--steps", "1", *QUICK)[0] == 0
    assert checkpoint.card(Path("x.safetensors"))["styles"] == ["folk"]
    assert Path("shards-all/shards.json").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--preset", "huge"), "unknown model size"),
        (("--model-option", "d_model"), "write NAME=VALUE"),
        (("--model-option", "depth=3"), "depth"),
        (("--train-option", "speed=3"), "no such training option"),
        (("--device", "cuda"), "no accelerator"),
        (("--style", "polka-rock"), "unknown style"),
        (("--steps", "3", "--budget", "1m"), "give one of them"),
    ],
)
def test_wrong_calls_are_told_in_one_line_and_leave_nothing(
    run: Run, songs: None, words: tuple[str, ...], told: str
) -> None:
    code, out, err = run("train", "songs", "-o", "x.safetensors", *words)
    assert (code, out) == (2, "") and told in err and len(err.splitlines()) == 1
    assert sorted(map(str, Path().iterdir())) == ["songs"]
