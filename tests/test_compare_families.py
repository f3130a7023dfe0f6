"""scripts/compare_families.py from shards to its table, with families and budgets that take seconds."""

from __future__ import annotations

import importlib.util
import json
import math
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from musegen.corpus.build import BuildConfig, build
from musegen.train.curve import LOG_FILE
from tests.tiny_corpus import tune, write_folder

SCRIPT = Path(__file__).parents[1] / "scripts" / "compare_families.py"
BARS = 2
"""Of songs and excerpts; the pieces have 4 and 5."""


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Networks this small gain nothing from a second thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    """The script as a module, its networks made tiny."""
    spec = importlib.util.spec_from_file_location("compare_families", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["compare_families"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    module.FAMILIES.update(transformer=module.network("tiny"), lstm=module.network("lstm", d_model=32, d_ff=32))
    yield module
    del sys.modules["compare_families"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source, 24 pieces of it held out, and its shards beside it."""
    root = tmp_path_factory.mktemp("corpus")
    splits = ["train"] * 6 + ["valid"] * 12 + ["test"] * 12
    pieces = [(f"p{seed}", tune(seed, bars=4 + seed % 2), split, "") for seed, split in enumerate(splits)]
    folk = write_folder(root / "folk", pieces)
    build([folk], root / "shards", (), BuildConfig(workers=1))
    return root


def words(corpus: Path, *more: str) -> list[str]:
    return [
        str(corpus / "shards"), "--reference", str(corpus / "folk"), "--run", str(corpus / "run"), "--budget", "1s",
        "--seeds", "1", "--count", "20", "--bars", str(BARS), *more,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def table(script: ModuleType, corpus: Path) -> str:
    """What a first call of all families writes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("musegen.evaluate.two_sample.TREES", 4)
        patch.setattr(script.compare, "evaluate", partial(script.compare.evaluate, splits=2))
        assert script.main(words(corpus, "--json", str(corpus / "f.json"), "--markdown", str(corpus / "f.md"))) == 0
    return (corpus / "f.md").read_text(encoding="utf-8")


def test_the_table_has_a_row_a_family_and_one_of_real_pieces(script: ModuleType, table: str) -> None:
    lines = table.splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == ["family", "seeds", *script.COLUMNS]
    assert {len(row) for row in cells} == {len(cells[0])}
    assert [row[0] for row in cells[2:]] == ["transformer", "lstm", "markov", "real against real"]
    assert [row[1] for row in cells[2:]] == ["1", "1", "1", ""]
    real = dict(zip(cells[0], cells[-1], strict=True))
    assert real["parameters"] == "" and 0 <= float(real["AUC"].split(" ")[0]) <= 1


def test_the_figures_are_those_of_each_run(script: ModuleType, corpus: Path, table: str) -> None:
    records = json.loads((corpus / "f.json").read_text(encoding="utf-8"))
    assert [record["family"] for record in records] == ["transformer", "lstm", "markov"]
    for record in records:
        saved = json.loads((corpus / "run" / f"{record['family']}-0" / "result.json").read_text(encoding="utf-8"))
        assert saved == record
        assert 0 < record["nats_per_note"] < 40
        assert 0 <= record["auc"] <= 1 and 0 <= record["overlap"] <= 1
        assert 0 <= record["longest_copy"] <= record["longest_copy_most"]
        assert record["seconds_per_song"] > 0
        assert f"| {record['family']} | 1 | {record['parameters']:,} |" in table
    transformer, lstm, markov = records
    assert transformer["train_seconds"] >= 1 and lstm["train_seconds"] >= 1
    assert markov["parameters"] > 100  # n-grams of six tunes in twelve keys
    assert transformer["auc_real"] == lstm["auc_real"] == markov["auc_real"]


def test_a_second_call_reads_what_is_there(
    script: ModuleType, corpus: Path, table: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def never(task: Any) -> Any:
        raise AssertionError(f"trained again: {task}")

    monkeypatch.setattr(script, "FAMILIES", dict.fromkeys(script.FAMILIES, never))
    logs = {path: path.stat().st_mtime_ns for path in (corpus / "run").rglob(LOG_FILE)}
    assert len(logs) == 2
    assert script.main(words(corpus)) == 0
    assert capsys.readouterr().out == table
    assert {path: path.stat().st_mtime_ns for path in logs} == logs


def test_seeds_are_told_as_mean_and_range(script: ModuleType, corpus: Path, table: str) -> None:
    facts = json.loads((corpus / "run" / "markov-0" / "result.json").read_text(encoding="utf-8"))
    first = script.Result(**{**facts, "nats_per_note": 2.0, "auc": 0.9})
    rows = script.markdown([first, replace(first, seed=1, nats_per_note=2.5)]).splitlines()
    assert rows[2].startswith("| markov | 2 | ") and "| 2.250 (2.000 to 2.500) | 0.90 |" in rows[2]
    undefined = script.markdown([replace(first, nats_per_note=math.nan)]).splitlines()[2]
    assert "| undefined | 0.90 |" in undefined
    assert asdict(first)["family"] == "markov"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--families", "markov,gan"), "unknown family 'gan'; there are transformer, lstm, markov"),
        (("--count", "19"), "needs 20 songs at least"),
        (("--reference", "elsewhere"), "elsewhere: not a source of"),
        (("--budget", "soon"), "soon"),
        (("--bars", "5"), "12 pieces of valid and test; 20 are needed"),
    ],
)
def test_a_wrong_call_is_refused_before_anything_is_trained(
    script: ModuleType, corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...],
    message: str,
) -> None:  # fmt: skip
    assert script.main(words(corpus, "--run", str(tmp_path / "run"), *more)) == 2
    told = capsys.readouterr()
    assert told.out == "" and message in told.err and told.err.startswith("error: ")
    assert not (tmp_path / "run").exists()
