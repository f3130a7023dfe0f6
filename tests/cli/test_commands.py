"""Every command end to end on random weights."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import miditoolkit
import pytest

from musegen.score.formats import read, write
from musegen.score.model import Score, Text, Track
from tests.cli.words import QUICK, SAMPLE, Run


def test_compose_writes_what_it_says(run: Run) -> None:
    code, out, err = run("compose", *QUICK, "--key", "D minor", "--scale", "strict", "--seed", "7", "-o", "new/a.mid")
    assert (code, out) == (0, "new/a.mid\n")
    assert err.startswith("1 piece, 1 bar, ")
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
    wishes = ("--key", "F# minor", "--tempo", "90.5", "--instrument", "alto sax")
    run("compose", *wishes, *QUICK, "--seed", "5", "-o", "a.mid")
    code, out, _ = run("info", "a.mid")
    assert code == 0
    again = shlex.split(out.split("made with: musegen ")[1].splitlines()[0])
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


def test_infill_writes_some_bars_anew_and_says_how(run: Run) -> None:
    shutil.copy(SAMPLE, "tune.mid")
    words = ("infill", "tune.mid", "-m", "tiny-random", "--bars", "7-8", "--track", "Voice 2", "--track", "3")
    code, out, _ = run(*words, "--chords", "F | C7", "--guidance", "1.5", "--seed", "1", "-o", "a.mid")
    assert (code, out) == (0, "a.mid\n")
    before, after = read("tune.mid"), read("a.mid")
    assert [old == new for old, new in zip(before.tracks, after.tracks, strict=True)] == [True, False, False, True]
    assert [chord.symbol for chord in after.chords] == ["F", "C7", "N"]
    again = shlex.split(run("info", "a.mid")[1].split("made with: musegen ")[1].splitlines()[0])
    assert run(*again, "-o", "b.mid")[0] == 0
    assert Path("a.mid").read_bytes() == Path("b.mid").read_bytes()
    assert run("infill", "tune.mid", "-m", "tiny-random", "--bars", "14", "--seed", "1")[1] == "tune-infilled-1.mid\n"


def test_harmonize_keeps_the_melody_or_all_and_writes_the_rest(run: Run) -> None:
    shutil.copy(SAMPLE, "tune.mid")
    quick = ("-m", "tiny-random", "--polyphony", "3", "--seed", "2")
    code, out, _ = run("harmonize", "tune.mid", *quick, "-n", "2")
    assert (code, out.split()) == (0, ["tune-harmonized-2-001.mid", "tune-harmonized-2-002.mid"])
    chorale = read("tune-harmonized-2-001.mid")
    assert [track.name for track in chorale.tracks] == ["Voice 1", "Alto", "Tenor", "Bass"]
    assert chorale.tracks[0] == read("tune.mid").tracks[0], "of two equally high ones the first"
    words = ("harmonize", "tune.mid", "--keep", "--instrument", "acoustic bass", "--chords", "| F | F C7 |")
    assert run(*words, *quick, "-o", "a.mid")[0] == 0
    made = read("a.mid")
    assert made.tracks[:4] == read("tune.mid").tracks and made.tracks[4].program == 32
    assert [chord.symbol for chord in made.chords] == ["F", "C7"] * 7
    again = shlex.split(run("info", "a.mid")[1].split("made with: musegen ")[1].splitlines()[0])
    run(*again, "-o", "b.mid")
    assert Path("a.mid").read_bytes() == Path("b.mid").read_bytes()
    assert run("harmonize", "tune.mid", "--melody", "4", *quick, "-o", "c.mid")[0] == 0
    assert read("c.mid").tracks[0] == read("tune.mid").tracks[3]


def test_chords_and_guidance_of_new_pieces_and_in_plans(run: Run) -> None:
    wishes = ("--chords", "Dm7 | G7 C", "--guidance", "2")
    assert run("compose", *QUICK[:2], "--bars", "2", "--meter", "2/4", *wishes, "--seed", "5", "-o", "a.mid")[0] == 0
    assert [(chord.time, chord.symbol) for chord in read("a.mid").chords] == [(0, "Dm7"), (960, "G7"), (1440, "C")]
    Path("plan.csv").write_text("bars,meter,chords,guidance,seed\n2,2/4,Dm7 | G7 C,2,5\n")
    assert run("batch", "plan.csv", "-m", "tiny-random", "-o", "songs")[0] == 0
    assert Path("songs/song-001.mid").read_bytes() == Path("a.mid").read_bytes()
    run("continue", "a.mid", "-m", "tiny-random", "--bars", "1", "--chords", "F", "--seed", "5", "-o", "b.mid")
    assert [chord.symbol for chord in read("b.mid").chords] == ["Dm7", "G7", "C", "F"]


def test_json_holds_everything_and_quiet_nothing(run: Run) -> None:
    code, out, err = run("--json", "--quiet", "compose", *QUICK, "--seed", "2", "-n", "2", "-o", "songs")
    record = json.loads(out)
    assert (code, err) == (0, "")
    assert record["files"] == ["songs/folk-2-001.mid", "songs/folk-2-002.mid"]
    assert (record["seed"], record["model"], record["checksum"], record["bars"]) == (2, "tiny-random", "0" * 12, 2)
    assert record["notes"] == sum(piece["notes"] for piece in record["pieces"]) > 0 and record["seconds"] > 0
    assert [piece["seed"] for piece in record["pieces"]] == [2, 3]
    assert all(Path(piece["file"]).exists() and piece["bars"] == 1 for piece in record["pieces"])


def test_the_order_of_options_does_not_matter_to_the_bytes(run: Run) -> None:
    run("compose", *QUICK, "--seed", "3", "--key", "D", "--scale", "strict", "--top-p", "0.9", "-o", "a.mid")
    run("compose", "--top-p", "0.90", "--scale", "strict", "--seed", "3", "--key", "D", *QUICK, "-o", "b.mid")
    assert Path("a.mid").read_bytes() == Path("b.mid").read_bytes()


def test_outputs_are_named_after_style_and_seed_and_folders_are_made(run: Run) -> None:
    assert run("compose", *QUICK, "--seed", "3")[1] == "folk-3.mid\n"
    assert run("compose", *QUICK, "--seed", "3", "--instrument", "violin", "-o", "new/")[1] == "new/piece-3.mid\n"
    assert run("compose", *QUICK, "--seed", "3", "-o", "new")[1] == "new/folk-3.mid\n"
    shutil.copy(SAMPLE, "tune.mid")
    assert run("continue", "tune.mid", "-m", "tiny-random", "--bars", "1", "--seed", "3")[1] == "tune-continued-3.mid\n"
    assert run("compose", *QUICK, "--seed", "3", "-o", "roll.png")[1] == "roll.png\n"
    assert Path("roll.png").read_bytes().startswith(b"\x89PNG")


def test_global_flags_are_understood_after_the_command(run: Run) -> None:
    _, out, err = run("compose", *QUICK, "--seed", "3", "-o", "a.mid", "--json", "--quiet")
    assert json.loads(out)["files"] == ["a.mid"] and err == ""


def test_debug_shows_the_traceback_and_keeps_the_exit_code(run: Run) -> None:
    code, out, err = run("--debug", "info", "none.mid")
    assert (code, out) == (2, "") and "Traceback" in err and err.endswith("musegen: none.mid: no such file\n")


def test_a_defect_is_one_line_and_exit_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("no\nluck")

    monkeypatch.setattr("musegen.cli.info.facts", broken)
    code, out, err = run("info", str(SAMPLE))
    assert (code, out) == (1, "")
    assert err == "musegen: ZeroDivisionError: no luck; this is a defect of musegen, --debug shows where\n"


def test_without_a_command_there_is_help_and_exit_2(run: Run) -> None:
    for words in ((), ("models",)):
        code, out, err = run(*words)
        assert (code, out) == (2, "") and err.startswith("Usage: musegen") and "Commands:" in err


def test_info_says_what_a_file_holds(run: Run) -> None:
    facts = json.loads(run("--json", "info", str(SAMPLE))[1])
    assert (facts["bars"], facts["notes"], facts["metres"], facts["keys"]) == (14, 128, ["4/4"], ["F major"])
    assert facts["markers"] == 4 and facts["warnings"] == [] and len(facts["tracks"]) == 4
    first = facts["tracks"][0]
    assert (first["name"], first["instrument"], first["notes"]) == ("Voice 1", "Recorder", 32)
    assert (first["lowest"], first["highest"]) == ("C4", "D5")
    _, out, _ = run("info", str(SAMPLE))
    assert "track 1: Voice 1, Recorder, 32 notes, C4 to D5\n" in out and "made with" not in out


def test_info_is_not_led_on_by_a_text_that_only_looks_like_ours(run: Run) -> None:
    texts = (Text(0, 'musegen {"command": '), Text(0, "musegen [1]"))
    write(Score(480, (Track([(0, 60, 480, 80)], name="a\x1b[31mb"),), texts=texts), "a.mid")
    code, out, _ = run("info", "a.mid")
    assert code == 0 and "a?[31mb" in out and "made" not in out and "\x1b" not in out


PLANS = {
    "plan.csv": "\ufeffstyle,bars,meter,instrument,seed,top-p\n"
    "folk,1,2/4,flute; cello,,0.9\n,,3/4,,77,\n,,,,,\n,1,H,,,\n",
    "plan.jsonl": '{"style": "folk", "bars": 1, "meter": "2/4", "instrument": ["flute", "cello"], "top_p": 0.9}\n\n'
    '{"meter": "3/4", "seed": 77.0}\n{}\n{"bars": 1, "meter": "H"}\n',
    "plan.yaml": "- {style: folk, bars: 1, meter: 2/4, instrument: [flute, cello], top-p: 0.9}\n"
    "- {meter: 3/4, seed: 77}\n- {}\n- {bars: 1, meter: H}\n",
}


@pytest.mark.parametrize("name", PLANS)
def test_a_plan_says_what_each_piece_is(run: Run, name: str) -> None:
    if name.endswith("yaml"):
        pytest.importorskip("yaml")
    Path(name).write_text(PLANS[name], encoding="utf-8")
    call = ("--json", "batch", name, "-m", "tiny-random", "--bars", "2", "--meter", "2/4", "--seed", "5", "-o", "songs")
    code, out, err = run(*call)
    record = json.loads(out)
    assert code == 1 and (record["done"], record["failed"], record["seed"], record["bars"]) == (3, 1, 5, 5)
    assert record["files"] == [f"songs/song-00{i}.mid" for i in (1, 2, 3)]
    assert "song-004.mid: 'H' is not a metre" in err
    assert "3 pieces in songs, 0 of them kept from before; 1 failed" in err
    lines = [json.loads(line) for line in Path("songs/manifest.jsonl").read_text().splitlines()]
    assert [(line["seed"], line["state"]) for line in lines] == [
        (5, "done"), (77, "done"), (7, "done"), (8, "failed"),
    ]  # fmt: skip
    assert [line["request"]["meter"] for line in lines] == ["2/4", "3/4", "2/4", "H"]
    assert lines[0]["request"]["instrument"] == ["flute", "cello"] and lines[0]["request"]["top_p"] == 0.9
    assert [line.get("bars") for line in lines] == [1, 2, 2, None]
    before = Path("songs/manifest.jsonl").read_bytes()
    assert json.loads(run(*call)[1])["kept"] == 3 and Path("songs/manifest.jsonl").read_bytes() == before
    run("compose", "-m", "tiny-random", "--bars", "2", "--meter", "2/4", "--seed", "7", "-o", "alone.mid")
    assert Path("alone.mid").read_bytes() == Path("songs/song-003.mid").read_bytes()


def test_another_batch_is_not_mixed_into_a_folder(run: Run) -> None:
    call = ("batch", "--count", "2", *QUICK, "-o", "songs")
    assert run(*call)[0] == 0
    drawn = json.loads(Path("songs/manifest.jsonl").read_text().splitlines()[0])["seed"]
    before = {path: path.read_bytes() for path in Path("songs").iterdir()}
    for other in (["--seed", str(drawn + 1)], ["--key", "D"], ["--count", "3"]):
        code, out, err = run(*call, *other)
        assert (code, out) == (2, "")
        assert err.splitlines()[-1] == (
            "musegen: songs holds another batch; choose another folder, or start it anew with --force"
        )
        assert {path: path.read_bytes() for path in Path("songs").iterdir()} == before
    assert run(*call)[0] == 0, "the drawn seed is taken from the manifest"
    assert run(*call, "--key", "D", "--force")[0] == 0
    assert Path("songs/song-001.mid").read_bytes() != before[Path("songs/song-001.mid")]


def test_an_existing_file_is_left_alone(run: Run) -> None:
    Path("a.mid").write_text("mine")
    code, out, err = run("compose", *QUICK, "--seed", "1", "-o", "a.mid")
    assert (code, out) == (2, "") and "a.mid: exists already" in err and err.count("\n") == 1
    assert Path("a.mid").read_text() == "mine"
    assert run("compose", *QUICK, "--seed", "1", "-o", "a.mid", "--force")[0] == 0
    assert Path("a.mid").read_bytes().startswith(b"MThd")
