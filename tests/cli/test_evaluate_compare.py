"""The command `musegen evaluate compare`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from musegen.score.formats import write
from tests.cli.words import Run
from tests.tiny_corpus import tune, write_folder

BARS = ("--bars", "4")


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """22 generated pieces, and 24 real ones of a manifest, two of them for training; small forests."""
    monkeypatch.setattr("musegen.evaluate.two_sample.TREES", 8)
    for seed in range(22):
        write(tune(seed, bars=4), tmp_path / "songs" / f"{seed:02d}.mid")
    pieces = [(f"real{seed}", tune(100 + seed, bars=6), "train" if seed < 2 else "test", "") for seed in range(24)]
    write_folder(tmp_path / "real", pieces)
    return str(tmp_path / "songs"), str(tmp_path / "real")


def test_two_folders_are_compared_and_the_page_is_written(run: Run, folders: tuple[str, str]) -> None:
    Path(folders[0], "03.mid").write_bytes(b"no music")
    Path(folders[0], "04.mid").unlink()
    write(tune(4, bars=3), Path(folders[0], "04.mid"))
    write(tune(50, bars=4), Path(folders[0], "22.mid"))
    code, out, err = run("evaluate", "compare", *folders, *BARS, "--html", "report.html", "--title", "A <b> title")
    assert code == 0
    assert out.startswith("21 pieces held against 24 real ones, the first 4 bars of each.\n")
    assert "\nbest: " in out and "\nnote_density" in out
    assert out.endswith("report.html\n")
    lines = err.splitlines()
    assert any(line.startswith(f"{folders[0]}/03.mid: ") and line.endswith("; skipped") for line in lines)
    assert f"{folders[0]}/04.mid: has 3 bars, fewer than the 4 compared; skipped" in lines
    assert f"{folders[0]}: 21 pieces, 2 skipped" in lines
    assert f"{folders[1]}: 24 pieces, 0 skipped" in lines
    page = Path("report.html").read_text(encoding="utf-8")
    assert "A &lt;b&gt; title" in page
    assert f"musegen evaluate compare {folders[0]} {folders[1]} --bars 4 --seed 0" in page
    assert "has 3 bars, fewer" in page


def test_json_holds_the_figures_of_the_split_asked_for(run: Run, folders: tuple[str, str]) -> None:
    code, out, err = run("--json", "--quiet", "evaluate", "compare", *folders, *BARS, "--split", "test", "--seed", "3")
    assert (code, err) == (0, "")
    record = json.loads(out)
    assert record["reference"]["pieces"] == 22
    assert record["seed"] == 3 and record["bars"] == 4 and record["html"] is None
    assert 0 <= record["auc"]["low"] <= record["auc"]["value"] <= record["auc"]["high"] <= 1
    assert record["chosen"]["best"].startswith(folders[0])


def test_duplicates_of_a_manifest_are_named_and_left_out(run: Run, folders: tuple[str, str], tmp_path: Path) -> None:
    pieces = [(f"r{seed}", tune(200 + seed, bars=4), "test", "duplicate" if seed == 5 else "") for seed in range(8)]
    twice = write_folder(tmp_path / "twice", pieces)
    code, _, err = run("evaluate", "compare", folders[0], str(twice), *BARS)
    assert code == 2
    assert f"{twice}/midi/r5.mid: marked as a duplicate in the manifest; skipped" in err
    assert "the reference has 7 pieces that can be compared (1 skipped); a comparison needs 20 at least" in err


def test_without_scikit_learn_it_says_so_before_it_measures(
    run: Run, folders: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.metrics", None)
    code, _, err = run("evaluate", "compare", *folders, *BARS)
    assert code == 2
    assert err.splitlines() == ["musegen: the two-sample test needs scikit-learn: pip install musegen[evaluate]"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--split", "test"), "no such manifest"),
        (("--bars", "4", "--title", "x"), "say --html FILE too"),
        (("--html", "."), "is a folder"),
        (("--html", "there.html"), "--force"),
        (("--bars", "40"), "fewer than the 40 compared"),
        (("--bars", "0"), "--bars"),
    ],
)
def test_wrong_calls_are_refused_in_one_line(
    run: Run, folders: tuple[str, str], arguments: tuple[str, ...], message: str
) -> None:
    Path("there.html").write_text("old", encoding="utf-8")
    code, out, err = run("--quiet", "evaluate", "compare", folders[0], folders[0], *arguments)
    assert (code, out) == (2, "")
    assert message in err and err.count("\n") == 1
    assert Path("there.html").read_text(encoding="utf-8") == "old"


def test_an_empty_folder_is_named(run: Run, folders: tuple[str, str], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    code, _, err = run("evaluate", "compare", str(tmp_path / "empty"), folders[1])
    assert code == 2 and "holds no music file" in err


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from musegen.cli import group\n"
        "result = CliRunner().invoke(group, ['evaluate', 'compare', '--help'])\n"
        "print(result.exit_code, [m for m in ('numpy', 'torch', 'music21', 'sklearn', 'rich') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "0 []"
