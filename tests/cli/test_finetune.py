"""`musegen finetune`: what it writes and says, and what it refuses."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from musegen.score.formats import write
from tests.cli.words import Run
from tests.tiny_corpus import tune

QUICK = ("-m", "tiny-random", "--threads", "1", "--context", "128", "--batch-tokens", "256")


@pytest.fixture
def songs(run: Run) -> None:
    for i in range(6):
        write(tune(i, bars=8), Path(f"songs/t{i}.mid"))
    write(tune(9, bars=2), Path("songs/short.mid"))


def test_it_writes_a_model_that_composes_and_tells_before_and_after(run: Run, songs: None) -> None:
    code, out, err = run("finetune", "songs", "-o", "out/mine.safetensors", "--lora", "--steps", "4", *QUICK)
    files = [f"out/mine{suffix}" for suffix in (".safetensors", ".md", ".csv", ".png")]
    assert (code, out.splitlines()) == (0, files)
    assert "shorter than 4 bars" in err and "| before |" in err and "| after |" in err
    assert sorted(map(str, Path("out").iterdir())) == sorted(files), "nothing else is left"
    code, out, _ = run("compose", "-m", files[0], "--style", "user-1", "--bars", "1", "--meter", "2/4", "-o", "x.mid")
    assert (code, out) == (0, "x.mid\n")
    code, out, _ = run("models", "show", files[0])
    assert code == 0 and "method: LoRA, rank 8" in out and "default_style: user-1" in out
    plain = ("compose", "-m", files[0], "--bars", "1", "--meter", "2/4", "--seed", "3")
    assert run(*plain)[:2] == (0, "user-1-3.mid\n")
    assert run(*plain, "--instrument", "violin", "-o", "new/")[:2] == (0, "new/user-1-3.mid\n")

    code, _, err = run("finetune", "songs", "-o", files[0], "--steps", "4", *QUICK)
    assert code == 2 and "--force" in err
    more = ("--force", "--style", "jazz", "--json", "--quiet")
    code, out, err = run("finetune", "songs", "-o", files[0], "--steps", "4", *more, *QUICK)
    record = json.loads(out)
    assert (code, err) == (0, "") and record["files"] == files
    assert record["skipped"] == {"songs: shorter than 4 bars": 1}
    assert record["steps"] == 4 and not record["stopped_early"] and record["method"] == "all weights"
    assert set(record["nats_per_note"]) == {"before", "after"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("songs", "-o", "x.mid"), "the suffix of weights is .safetensors"),
        (("songs", "-o", "x.safetensors", "--rank", "4"), "--rank does nothing without --lora"),
        (("songs", "-o", "x.safetensors", "--steps", "4", "--budget", "1m"), "give one of them"),
        (("songs", "-o", "x.safetensors", "--budget", "soon"), "write it as 90s, 50m or 1.5h"),
        (("songs", "-o", "x.safetensors", "--style", "polka-rock"), "unknown style"),
        (("songs", "-o", "x.safetensors", "--lora", "--rank", "32"), "between 1 and 31"),
        (("empty", "-o", "x.safetensors"), "holds no music file"),
        (("nowhere", "-o", "x.safetensors"), "does not exist"),
    ],
)
def test_wrong_calls_are_told_in_one_line_and_leave_nothing(
    run: Run, songs: None, words: tuple[str, ...], told: str
) -> None:
    Path("empty").mkdir()
    code, out, err = run("finetune", *words, *QUICK)
    assert (code, out) == (2, "") and told in err and len(err.splitlines()) == 1
    assert sorted(map(str, Path().iterdir())) == ["empty", "songs"]


def test_stopped_it_is_saved_and_goes_on(run: Run, songs: None) -> None:
    words = ["finetune", "songs", "-o", "mine.safetensors", "--steps", "60", *QUICK]
    with subprocess.Popen([sys.executable, "-m", "musegen", *words], stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 90
        while not Path("mine.run/best.safetensors").exists() and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 143 and "the same command goes on from there" in err
    assert Path("mine.run/state.safetensors").exists() and not Path("mine.safetensors").exists()
    code, out, _ = run(*words)
    assert code == 0 and "mine.safetensors" in out.splitlines() and not Path("mine.run").exists()
    steps = [int(row.split(",")[0]) for row in Path("mine.csv").read_text(encoding="utf-8").splitlines()[1:]]
    assert steps == sorted(steps) and steps[-1] == 60
