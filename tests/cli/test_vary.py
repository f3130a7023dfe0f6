"""The command `musegen vary`, and diffusion models in the other commands."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from musegen import checkpoint
from musegen.score import timing
from musegen.score.formats import read, write
from musegen.score.model import Score, TimeSignature, Track
from tests.cli.words import Run
from tests.compose.lively import lively
from tests.tiny_corpus import tune as example

ROLLS = ("-m", "lively.safetensors", "--steps", "3")
TUNE = Score(480, (Track([(480 * i, 60 + i % 7, 480, 80) for i in range(8)], program=73, name="Tune"),), end=3840)


@pytest.fixture
def tune(run: Run) -> Path:  # it makes the folder
    """A tune of two bars beside a diffusion model in a file."""
    path = Path("tune.mid")
    write(TUNE, path)
    checkpoint.save(
        Path("lively.safetensors"), lively(sings=True), {"styles": ["folk", "chorale"], "description": "full"}
    )
    return path


def made_with(run: Run, file: str) -> list[str]:
    """The command that `info` tells, in words."""
    return shlex.split(run("info", file)[1].split("made with: musegen ")[1].splitlines()[0])


@pytest.mark.parametrize("model", [ROLLS, ("-m", "tiny-random")])
def test_vary_writes_as_many_as_asked_for_and_says_how(run: Run, tune: Path, model: tuple[str, ...]) -> None:
    words = ("vary", str(tune), *model, "--strength", "0.7", "--seed", "5")
    code, out, err = run(*words, "-n", "3", "-o", "many/")
    assert (code, out.split()) == (0, [f"many/tune-varied-5-{i:03d}.mid" for i in (1, 2, 3)])
    assert err.startswith("3 pieces, 6 bars, ")
    variations = [read(path) for path in out.split()]
    assert all(timing.n_bars(score) == 2 and score.tracks[0].program == 73 for score in variations)
    assert len({tuple(score.tracks[0].notes.tolist()) for score in variations}) == 3
    assert run(*words, "-o", "one.mid")[0] == 0
    assert Path("one.mid").read_bytes() == Path(out.split()[0]).read_bytes()
    again = made_with(run, "one.mid")
    assert again[:2] == ["vary", "tune.mid"] and "--strength" in again
    assert run(*again, "-o", "b.mid")[0] == 0
    assert Path("b.mid").read_bytes() == Path("one.mid").read_bytes()


def test_strength_0_gives_the_notes_of_the_piece(run: Run, tune: Path) -> None:
    for model in ("tiny-random", "tiny-diffusion"):
        words = ("vary", str(tune), "-m", model, "--strength", "0", "--seed", "1")
        assert run(*words, "-o", f"{model}.mid")[1] == f"{model}.mid\n"
        assert read(f"{model}.mid").tracks == read(tune).tracks


def test_json_of_a_variation(run: Run, tune: Path) -> None:
    code, out, err = run("--json", "--quiet", "vary", str(tune), *ROLLS, "--seed", "9")
    facts = json.loads(out)
    assert (code, err) == (0, "") and facts["files"] == ["tune-varied-9.mid"]
    assert (facts["seed"], facts["bars"], facts["model"]) == (9, 2, "lively.safetensors")
    assert facts["checksum"] == checkpoint.checksum("lively.safetensors")
    assert facts["notes"] == read("tune-varied-9.mid").n_notes


def test_a_drawn_seed_is_told(run: Run, tune: Path) -> None:
    code, out, err = run("vary", str(tune), *ROLLS)
    seed = err.split("seed ")[1].split()[0]
    assert (code, out) == (0, f"tune-varied-{seed}.mid\n")


def test_steps_sampler_and_guidance_change_the_piece(run: Run, tune: Path) -> None:
    words = ("compose", "-m", "lively.safetensors", "--bars", "4", "--seed", "1")
    changes = [("--steps", "3"), ("--steps", "4"), ("--steps", "4", "--sampler", "heun"),
               ("--steps", "4", "--guidance", "4")]  # fmt: skip
    notes = []
    for number, change in enumerate(changes):
        assert run(*words, *change, "-o", f"{number}.mid")[0] == 0
        notes.append(tuple(read(f"{number}.mid").tracks[0].notes.tolist()))
        assert run(*made_with(run, f"{number}.mid"), "-o", "again.mid", "--force")[0] == 0
        assert Path("again.mid").read_bytes() == Path(f"{number}.mid").read_bytes()
    assert len(set(notes)) == len(changes)


def test_compose_continue_infill_and_harmonize_by_diffusion(run: Run, tune: Path) -> None:
    wishes = ("--key", "D minor", "--scale", "strict", "--meter", "6/8", "--style", "chorale", "--polyphony", "4")
    assert run("compose", *ROLLS, *wishes, "--bars", "2", "--tempo", "90", "--seed", "1", "-o", "a.mid")[0] == 0
    score = read("a.mid")
    assert [track.name for track in score.tracks] == ["Soprano", "Alto", "Tenor", "Bass"]
    pitches = np.concatenate([track.notes["pitch"] for track in score.tracks]) % 12
    assert set(pitches.tolist()) <= {2, 4, 5, 7, 9, 10, 11, 0, 1} and score.time_signatures[0].numerator == 6
    before = read(tune).tracks[0].notes
    assert run("continue", "tune.mid", *ROLLS, "--bars", "2", "--seed", "1", "-o", "b.mid")[0] == 0
    assert np.array_equal(read("b.mid").tracks[0].notes[: len(before)], before) and timing.n_bars(read("b.mid")) == 4
    assert run("infill", "tune.mid", *ROLLS, "--bars", "2", "--seed", "1", "-o", "c.mid")[0] == 0
    assert np.array_equal(read("c.mid").tracks[0].notes[:4], before[:4])
    assert run("harmonize", "tune.mid", *ROLLS, "--seed", "1", "-o", "d.mid")[0] == 0
    assert [track.name for track in read("d.mid").tracks] == ["Tune", "Alto", "Tenor", "Bass"]
    words = ("compose", *ROLLS, "--motif", "D4:1 F4:1", "--bars", "1", "--polyphony", "1", "--seed", "1")
    assert run(*words, "-o", "e.abc")[:2] == (0, "e.abc\n")


def test_models_list_and_show_name_the_tiny_ones(run: Run) -> None:
    assert "\ntiny-diffusion random weights" in run("models", "list")[1]
    assert "tiny-diffusion" in json.loads(run("--json", "models", "list")[1])
    assert run("models", "show", "tiny-diffusion")[0] == 0


def test_a_batch_by_diffusion(run: Run, tune: Path) -> None:  # the model stands beside it
    quick = ("-m", "tiny-diffusion", "--bars", "1", "--meter", "2/4", "--workers", "1")
    code, out, _ = run("batch", "--count", "3", *quick, "--seed", "1", "-o", "songs")
    assert (code, len(out.split())) == (0, 3)
    assert all(timing.n_bars(read(path)) == 1 for path in out.split())
    Path("plan.csv").write_text("bars,steps,sampler,seed\n1,3,,4\n1,5,,4\n1,3,ddpm,4\n1,3,fast,4\n1,0,,4\n")
    code, out, err = run("batch", "plan.csv", "-m", "lively.safetensors", "--workers", "1", "-o", "planned")
    assert (code, len(out.split())) == (1, 3)
    assert len({tuple(read(path).tracks[0].notes.tolist()) for path in out.split()}) == 3
    assert "song-004.mid: unknown sampler 'fast'" in err and "song-005.mid: steps is 0" in err
    assert run("compose", *ROLLS, "--bars", "1", "--seed", "4", "-o", "a.mid")[0] == 0
    assert Path("planned/song-001.mid").read_bytes() == Path("a.mid").read_bytes()
    manifest = [json.loads(line) for line in Path("planned/manifest.jsonl").read_text().splitlines()]
    assert [line["request"].get("steps") for line in manifest] == [3, 5, 3, 3, 0]


def test_a_column_of_another_kind_of_model_fails_its_row_alone(run: Run) -> None:
    Path("plan.jsonl").write_text('{"bars": 1, "steps": 4}\n{"bars": 1, "meter": "2/4"}\n')
    code, out, err = run("batch", "plan.jsonl", "-m", "tiny-random", "--seed", "1", "-o", "songs")
    assert (code, out) == (1, "songs/song-002.mid\n")
    assert "song-001.mid: --steps is for models of piano rolls, and tiny-random writes tokens; leave it out" in err
    Path("other.jsonl").write_text('{"bars": 1, "top_k": 4}\n')
    _, _, err = run("batch", "other.jsonl", "-m", "tiny-diffusion", "--seed", "1", "-o", "others")
    assert "--top-k is for models of tokens, and tiny-diffusion writes piano rolls; leave it out" in err


ONE = "at most 4 instruments; ask for fewer"
WRONG = [
    ("compose -m tiny-diffusion --instrument drums", "tiny-diffusion writes no drums; use the transformer"),
    ("compose -m tiny-diffusion --style drums", "tiny-diffusion writes no drums; use the transformer"),
    ("compose -m tiny-diffusion" + " --instrument violin" * 5, f"tiny-diffusion writes {ONE}"),
    ("compose -m tiny-diffusion --meter 5/8", "the metre 5/8 has bars of 5/2 quarters; the diffusion model writes "),
    ("compose -m tiny-diffusion --meter 9/8 -n 3", "the metre 9/8 has bars of 9/2 quarters; "),
    ("compose -m tiny-diffusion --top-k 0", "--top-k is for models of tokens, and tiny-diffusion writes piano rolls; "),
    ("compose -m tiny-diffusion --temperature 1", "--temperature is for models of tokens, and "),
    ("compose -m tiny-diffusion --min-p 0.01", "--min-p is for models of tokens, and "),
    ("compose -m tiny-diffusion --search beam", "--search is for models of tokens, and "),
    ("compose -m tiny-diffusion --voice-leading strict", "voice_leading strict is for models of tokens; "),
    ("compose -m tiny-diffusion --style nothing", "unknown style 'nothing'; the styles are folk, "),
    ("compose -m lively.safetensors --style hymn", "lively.safetensors knows the styles folk, chorale, not 'hymn'"),
    ("compose -m tiny-diffusion --sampler fast", "Invalid value for '--sampler': 'fast' is not one of 'ddim', "),
    ("compose -m tiny-diffusion --steps 0", "Invalid value for '--steps': 0 is not in the range 1<=x<=1000. ("),
    ("compose -m tiny-diffusion --range C9-G9", "the diffusion model writes pitches from 24 to 107, and none of them "),
    ("compose -m tiny-random --steps 4", "--steps is for models of piano rolls, and tiny-random writes tokens; "),
    ("vary tune.mid -m tiny-random --sampler ddim", "--sampler is for models of piano rolls, and tiny-random writes "),
    ("vary tune.mid -m tiny-diffusion --top-p 1", "--top-p is for models of tokens, and tiny-diffusion writes "),
    ("vary odd.mid -m tiny-diffusion", "the metre 5/8 has bars of 5/2 quarters; "),
    ("continue odd.mid -m tiny-diffusion", "the metre 5/8 has bars of 5/2 quarters; "),
    ("vary empty.mid -m tiny-diffusion", "the piece has no notes to vary"),
    ("vary none.mid", "none.mid: no such file"),
    ("vary tune.mid --strength 2", "Invalid value for '--strength': 2.0 is not in the range 0<=x<=1. ("),
    ("vary tune.mid --strength nan", "vary is nan; it goes from 0 to 1"),
    ("vary tune.mid --key D", "--key does nothing without --scale strict: a variation keeps the key of its piece"),
    ("vary tune.mid --meter 3/4", "No such option "),
    ("vary tune.mid -m nothing", "unknown model 'nothing'; there are "),
    ("vary tune.mid -o tune.mid", "tune.mid: exists already; choose another name or say --force"),
    ("vary tune.mid -n 2 -o -", "stdout holds one piece, not 2; give -o a folder or a name"),
    ("batch --count 2 -m nothing", "unknown model 'nothing'; there are "),
]


@pytest.mark.parametrize(("line", "says"), WRONG, ids=[line for line, _ in WRONG])
def test_a_wrong_call_gets_one_line_and_exit_2(run: Run, tune: Path, line: str, says: str) -> None:
    write(Score(480, TUNE.tracks, time_signatures=(TimeSignature(0, 5, 8),)), Path("odd.mid"))
    write(Score(480, (Track(),), end=1920), Path("empty.mid"))
    before = {path: path.read_bytes() for path in Path().iterdir()}
    assert tune in before
    code, out, err = run(*shlex.split(line), "--seed", "1")
    assert (code, out) == (2, "")
    assert err.startswith(f"musegen: {says}") and err.count("\n") == 1
    assert {path: path.read_bytes() for path in Path().iterdir()} == before


@pytest.mark.parametrize(
    "line",
    [
        "evaluate likelihood music -m tiny-diffusion", "evaluate likelihood music -m lively.safetensors",
        "finetune music -m lively.safetensors --steps 1 -o out.safetensors",
        "finetune music -m tiny-diffusion --lora --steps 1 -o out.safetensors",
    ],
)  # fmt: skip
def test_what_is_for_models_of_tokens_says_so(run: Run, tune: Path, line: str) -> None:
    for number in range(4):
        write(example(number, bars=8), Path(f"music/{number}.mid"))
    code, out, err = run(*shlex.split(line))
    assert (code, out) == (2, ""), err
    assert "writes piano rolls, not tokens; name a model of tokens, such as transformer" in err
    assert not Path("out.safetensors").exists()
