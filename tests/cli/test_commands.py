"""Every command end to end on random weights, and every wrong call with its one line and exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import miditoolkit
import pytest

from musegen.cli import COMMANDS, main

Run = Callable[..., tuple[int, str, str]]
QUICK = ("-m", "tiny-random", "--bars", "1", "--meter", "2/4")


@pytest.fixture
def run(capfd: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command in an empty folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            main(list(arguments))
        out, err = capfd.readouterr()
        return int(left.value.code or 0), out, err

    return call


def test_compose_writes_what_it_says(run: Run) -> None:
    code, out, err = run("compose", *QUICK, "--key", "D minor", "--scale", "strict", "--seed", "7", "-o", "new/a.mid")
    assert (code, out) == (0, "new/a.mid\n")
    assert "1 bars" in err
    song = miditoolkit.MidiFile("new/a.mid")
    assert [(m.numerator, m.denominator) for m in song.time_signature_changes] == [(2, 4)]
    assert {n.pitch % 12 for n in song.instruments[0].notes} <= {2, 4, 5, 7, 9, 10, 11, 0, 1}


def test_the_same_seed_writes_the_same_bytes_alone_and_among_others(run: Run) -> None:
    run("compose", *QUICK, "--seed", "3", "-o", "a.mid")
    run("compose", *QUICK, "--seed", "3", "-o", "b.mid")
    code, out, _ = run("compose", *QUICK, "--seed", "3", "-n", "3", "-o", "many.mid")
    assert out.split() == ["many-001.mid", "many-002.mid", "many-003.mid"] and code == 0
    assert Path("a.mid").read_bytes() == Path("b.mid").read_bytes() == Path("many-001.mid").read_bytes()
    assert Path("many-002.mid").read_bytes() != Path("many-001.mid").read_bytes()


def test_a_drawn_seed_is_told_and_makes_the_piece_again(run: Run) -> None:
    _, _, err = run("compose", *QUICK, "-o", "a.mid")
    seed = err.split("seed ")[1].split()[0]
    run("compose", *QUICK, "--seed", seed, "-o", "b.mid")
    assert Path("a.mid").read_bytes() == Path("b.mid").read_bytes()


def test_info_tells_how_to_make_it_again(run: Run) -> None:
    run("compose", *QUICK, "--tempo", "90", "--seed", "5", "-o", "a.mid")
    code, out, _ = run("info", "a.mid")
    assert code == 0
    again = out.split("made with: musegen ")[1].splitlines()[0].split()
    run(*again, "-o", "b.mid")
    assert Path("a.mid").read_bytes() == Path("b.mid").read_bytes()
    facts = json.loads(run("--json", "info", "a.mid")[1])
    assert facts["bars"] == 1 and facts["metres"] == ["2/4"] and facts["made_by"]["seed"] == 5


def test_a_motif_begins_the_piece(run: Run) -> None:
    motif = "D4:1 F#4:1/2 A4:1/2 D5:2"
    assert run("compose", "-m", "tiny-random", "--bars", "2", "--motif", motif, "--seed", "1", "-o", "a.mid")[0] == 0
    notes = sorted(miditoolkit.MidiFile("a.mid").instruments[0].notes, key=lambda n: (n.start, n.pitch))
    assert [(n.pitch, n.start, n.end) for n in notes[:4]] == [
        (62, 0, 480), (66, 480, 720), (69, 720, 960), (74, 960, 1920),
    ]  # fmt: skip


def test_continue_render_tokenize_and_models(run: Run) -> None:
    run("compose", *QUICK, "--seed", "1", "-o", "a.mid")
    assert run("continue", "a.mid", "-m", "tiny-random", "--bars", "2", "--seed", "1", "-o", "b.mid")[1] == "b.mid\n"
    assert json.loads(run("--json", "info", "b.mid")[1])["bars"] == 3
    assert run("render", "b.mid", "-o", "b.png")[1] == "b.png\n"
    assert Path("b.png").read_bytes().startswith(b"\x89PNG")
    _, out, err = run("tokenize", "b.mid")
    assert out.splitlines()[0].startswith("BOS") and len(out.splitlines()) == 4 and "tokens a note" in err
    assert "tiny-random" in run("models", "list")[1]
    assert "checksum" in run("models", "show", "tiny-random")[1]


def test_json_holds_everything_and_quiet_nothing(run: Run) -> None:
    code, out, err = run("--json", "--quiet", "compose", *QUICK, "--seed", "2", "-n", "2", "-o", "songs")
    record = json.loads(out)
    assert (code, err) == (0, "")
    assert [piece["seed"] for piece in record["pieces"]] == [2, 3]
    assert all(Path(piece["file"]).exists() and piece["bars"] == 1 for piece in record["pieces"])


def test_an_existing_file_is_left_alone(run: Run) -> None:
    Path("a.mid").write_text("mine")
    code, out, err = run("compose", *QUICK, "--seed", "1", "-o", "a.mid")
    assert (code, out) == (2, "") and "a.mid: exists already" in err and err.count("\n") == 1
    assert Path("a.mid").read_text() == "mine"
    assert run("compose", *QUICK, "--seed", "1", "-o", "a.mid", "--force")[0] == 0
    assert Path("a.mid").read_bytes().startswith(b"MThd")


WRONG = [
    (("continue", "none.mid"), "none.mid: no such file"),
    (("continue", "text.mid"), "text.mid: "),
    (("continue", "folder.mid"), "folder.mid: is a folder"),
    (("compose", "--bars", "0"), "'--bars': 0 is not in the range 1<=x<=256"),
    (("compose", "--key", "H"), "'H' is not a key"),
    (("compose", "--meter", "5/7"), "5/7"),
    (("compose", "--top-p", "1.5"), "'--top-p': 1.5 is not in the range"),
    (("compose", "-m", "nothing", "--seed", "1"), "unknown model 'nothing'; there are"),
    (("compose", "--style", "nothing"), "unknown style 'nothing'; the styles are folk"),
    (("compose", "--motif", "D4:1 X9:1", "--seed", "1"), "at position 6 (word 2)"),
    (("compose", "-m", "broken.safetensors", "--seed", "1"), "broken.safetensors: the file is damaged"),
    (("compose", "-o", "a.wav", "--seed", "1"), "the suffix must be one of .mid"),
    (("compose", "--range", "C5", "--seed", "1"), "write lowest-highest"),
    (("compose", "--instrument", "kazoo-o-matic"), "kazoo-o-matic"),
    (("batch", "plan.csv", "-o", "songs"), "plan.csv row 2: bars is 'many', which is no number"),
    (("batch", "bad.jsonl", "-o", "songs"), "bad.jsonl row 2: no JSON object"),
    (("batch", "column.csv", "-o", "songs"), "unknown column 'colour'"),
    (("batch", "-o", "songs"), "give a PLAN or --count N"),
    (("dance",), "No such command 'dance'"),
    (("compose", "--nonsense"), "--nonsense"),
]


@pytest.mark.parametrize(("arguments", "says"), WRONG, ids=lambda value: " ".join(value)[:40] if value else "")
def test_a_wrong_call_gets_one_line_and_exit_2(run: Run, arguments: tuple[str, ...], says: str) -> None:
    Path("text.mid").write_text("no midi")
    Path("folder.mid").mkdir()
    Path("broken.safetensors").write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{broken")
    Path("plan.csv").write_text("bars,style\n8,folk\nmany,folk\n")
    Path("bad.jsonl").write_text('{"bars": 2}\n{"bars": \n')
    Path("column.csv").write_text("bars,colour\n8,red\n")
    code, out, err = run(*arguments)
    assert code == 2 and out == ""
    assert says in err and err.startswith("musegen: ") and err.count("\n") == 1


def test_help_is_quick_to_load_and_shows_examples(tmp_path: Path) -> None:
    for command in ((), *((name,) for name in COMMANDS)):
        code = (
            "import sys\nfrom musegen.cli import main\n"
            f"try:\n    main({[*command, '--help']!r})\n"
            "except SystemExit:\n"
            "    print([m for m in ('torch', 'music21', 'numpy', 'symusic', 'PIL') if m in sys.modules])\n"
        )
        ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert ran.stdout.endswith("[]\n"), command
        assert not command or ran.stdout.count("\n  musegen ") >= 2, f"two examples in {command}"


def test_an_interrupted_command_leaves_nothing_behind(tmp_path: Path) -> None:
    arguments = ["compose", "-m", "tiny-random", "--bars", "64", "--meter", "4/4", "--seed", "1", "-o", "a.mid"]
    with subprocess.Popen([sys.executable, "-m", "musegen", *arguments], cwd=tmp_path, stderr=subprocess.PIPE) as ran:
        with pytest.raises(subprocess.TimeoutExpired):
            ran.wait(3)
        ran.terminate()
        assert ran.wait(20) == 143
    assert list(tmp_path.iterdir()) == []
