"""`musegen corpus build` and `report`: what goes where, and what is said of wrong calls."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.words import Run
from tests.tiny_corpus import tune, write_folder


@pytest.fixture
def folders() -> None:
    pieces = [("a", tune(1), "train", ""), ("b", tune(2), "valid", ""), ("c", tune(3, bars=2), "train", "")]
    write_folder(Path("data/folk"), pieces)
    write_folder(Path("data/jsb"), [("a", tune(1, transpose=3), "test", "")])


def test_build_prints_the_path_and_report_the_tables(run: Run, folders: None) -> None:
    code, out, err = run("corpus", "build", "data/folk", "-o", "shards", "--workers", "1")
    assert (code, out) == (0, "shards/shards.json\n")
    assert "3 of 3 files" in err and "shorter than 4 bars" in err
    code, out, err = run("corpus", "report", "shards")
    assert (code, err) == (0, "")
    rows = [line.split() for line in out.splitlines()]
    assert ["folk", "train", "1", str(tune(1).n_notes)] in [row[:4] for row in rows]
    assert ["folk", "none", "2"] in rows, "licences with their counts"
    code, out, err = run("corpus", "report", "shards", "--names")
    assert out == "folk/midi/c.mid\tshorter than 4 bars\t\n"
    record = json.loads(run("--json", "corpus", "report", "shards")[1])
    assert record["names"] == {"train": ["folk/midi/a.mid"], "valid": ["folk/midi/b.mid"], "test": []}


def test_build_keeps_excluded_music_out_and_tells_it_in_json(run: Run, folders: None) -> None:
    exclude = ("--exclude", "data/jsb:valid,test")
    code, out, err = run("--json", "--quiet", "corpus", "build", "data/folk", "-o", "s", "--workers", "1", *exclude)
    record = json.loads(out)
    assert (code, err) == (0, "") and record["file"] == "s/shards.json"
    assert record["dropped"]["folk: in train, but the music of a held-out piece (jsb)"] == 1
    assert record["excluded"]["jsb:valid,test"]["met_in_train"] == 1


def test_wrong_calls_are_told_in_one_line(run: Run, folders: None) -> None:
    code, _, err = run("corpus", "build", "data/folk", "-o", "s", "--exclude", "data/jsb")
    assert code == 2 and "write FOLDER:SPLIT[,SPLIT]" in err
    code, _, err = run("corpus", "build", "data/folk", "-o", "s", "--style", "polka-rock")
    assert code == 2 and "unknown style" in err
    code, _, err = run("corpus", "build", "data/folk", "-o", "s", "--style", "jazz")
    assert code == 2 and "--style does nothing for folk" in err
    code, _, err = run("corpus", "report", "data")
    assert code == 2 and "build it with musegen corpus build" in err
    Path("s").mkdir()
    Path("s/shards.json").write_text("{}", encoding="utf-8")
    code, _, err = run("corpus", "build", "data/folk", "-o", "s")
    assert code == 2 and "--force" in err
