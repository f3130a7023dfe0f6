"""The command `musegen evaluate likelihood`."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from musegen.corpus.build import BuildConfig, build
from musegen.score import timing
from musegen.score.formats import write
from musegen.score.model import Score
from tests.cli.words import Run
from tests.tiny_corpus import tune, write_folder

SMALL = ("-m", "tiny-random", "--context", "128", "--workers", "1")


@pytest.fixture
def folk(tmp_path: Path) -> str:
    """A folder with a manifest: two pieces to learn from, one of each other split."""
    splits = ("train", "train", "valid", "test")
    pieces = [(f"p{seed}", tune(seed, bars=5 + seed), split, "") for seed, split in enumerate(splits)]
    write_folder(tmp_path / "folk", pieces)
    return "folk"


def test_a_table_of_each_unit_with_a_column_a_folder(run: Run, folk: str) -> None:
    write(tune(9, bars=4), Path("songs/a.mid"))
    write(tune(10, bars=4), Path("songs/b.mid"))
    Path("songs/c.mid").write_bytes(b"no music")
    code, out, err = run("evaluate", "likelihood", folk, "songs", *SMALL)
    assert code == 0
    assert err == "skipped songs/c.mid: not a MIDI file (it has no MThd header)\n3 pieces measured, 1 file skipped\n"
    nats, bits = out.split("\nbits per second of music\n\n")
    assert nats.startswith(
        "nats per note\n\n| | folk | songs | all |\n|---|---:|---:|---:|\n| tiny-random (transformer"
    )
    sizes = [tune(3, bars=8).n_notes, tune(9, bars=4).n_notes + tune(10, bars=4).n_notes]
    assert nats.splitlines()[-1] == f"| pieces / notes | 1 / {sizes[0]} | 2 / {sizes[1]} | 3 / {sum(sizes)} |"
    assert bits.count("\n") == 4 and bits.splitlines()[2] != nats.splitlines()[4]


def test_json_holds_the_sums_and_both_units(run: Run, folk: str) -> None:
    Path("folk/midi/p3.mid").unlink()
    write(tune(7, bars=6), Path("folk/midi/p3.mid"))
    write(Score(480, end=4000), Path("silent.mid"))
    code, out, err = run("--json", "--quiet", "evaluate", "likelihood", folk, "silent.mid", *SMALL)
    assert (code, err) == (0, "")
    record = json.loads(out)
    assert record["skipped"] == {"silent.mid": "holds no notes"}
    [by_source] = record["models"].values()
    assert by_source["folk"] == by_source["all"]
    figures = by_source["all"]
    assert (figures["pieces"], figures["notes"]) == (1, tune(7, bars=6).n_notes)
    assert figures["nats_per_note"] == pytest.approx(figures["nats"] / figures["notes"])
    seconds = timing.seconds(tune(7, bars=6))
    assert figures["bits_per_second"] == pytest.approx(figures["nats"] / math.log(2) / seconds)


def test_several_models_and_a_markov_model_stand_in_one_table(run: Run, folk: str) -> None:
    build([Path(folk)], Path("shards"), (), BuildConfig(workers=1))
    code, out, err = run(
        "evaluate", "likelihood", "shards", folk, *SMALL, "-m", "rnn", "--markov", "shards", "--order", "2"
    )
    assert (code, err) == (0, "")
    labels = [line.split(" | ")[0] for line in out.splitlines() if line.startswith("| ")]
    assert [label.partition(" (")[0] for label in labels[1:5]] == [
        "| tiny-random", "| rnn", "| Markov, order 2", "| pieces / notes"]  # fmt: skip
    assert "| 2 / " in out  # the piece of the shards and the same one of the folder, both of the source folk


def test_level_charges_no_dynamics(run: Run, folk: str) -> None:
    score = tune(7, bars=6)
    notes = score.tracks[0].notes.copy()
    notes["velocity"][::2] = 30
    write(score.with_tracks([replace(score.tracks[0], notes=notes)]), Path("loud/a.mid"))
    tokens = []
    for more in ((), ("--level",)):
        _, out, _ = run("--json", "evaluate", "likelihood", "loud", *SMALL, *more)
        tokens.append(next(iter(json.loads(out)["models"].values()))["all"]["tokens"])
    assert tokens[1] <= tokens[0] - score.n_notes // 2


def test_the_split_asked_for_is_measured(run: Run, folk: str) -> None:
    for split, seed in (("valid", 2), ("test", 3)):
        code, out, _ = run("--json", "evaluate", "likelihood", folk, *SMALL, "--split", split)
        assert code == 0
        assert next(iter(json.loads(out)["models"].values()))["all"]["notes"] == tune(seed, bars=5 + seed).n_notes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Missing argument 'PATH...'"),
        (("nowhere",), "'nowhere' does not exist"),
        (("empty",), "empty: holds no music file; musegen reads .mid"),
        (("silent.mid",), "of 1 files none can be used (silent.mid: holds no notes)"),
        (("bare",), "no piece of split test; choose another --split"),
        (("folk", "-m", "nonsense"), "nonsense"),
        (("folk", "--markov", "folk"), "build it with musegen corpus build"),
        (("folk", "--markov", "nowhere"), "'nowhere' does not exist"),
        (("folk", "--order", "9"), "--order"),
        (("folk", "--context", "9"), "--context"),
        (("folk", "--split", "all"), "--split"),
        (("damaged",), "build it with musegen corpus build"),
    ],
)
def test_wrong_calls_are_refused_in_one_line(run: Run, folk: str, arguments: tuple[str, ...], message: str) -> None:
    Path("empty").mkdir()
    Path("damaged").mkdir()
    Path("damaged/shards.json").write_text("{", encoding="utf-8")
    write(Score(480, end=4000), Path("silent.mid"))
    write_folder(Path("bare"), [("a", tune(1), "train", "")])
    models = () if "-m" in arguments else ("-m", "tiny-random")
    code, out, err = run("evaluate", "likelihood", *arguments, *models)
    assert (code, out) == (2, "")
    assert err.startswith("musegen: ") and message in err and err.count("\n") == 1
