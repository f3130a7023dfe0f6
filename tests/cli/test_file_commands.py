"""Files through the command: what goes in comes out, in whichever format, whole or not at all."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import mido
import pytest

from musegen.score.formats import read, smf, write
from musegen.score.model import Score, Text, Track
from tests.cli.words import QUICK, SAMPLE, Run

FULL = [
    [
        mido.MetaMessage("track_name", name="Everything"), mido.MetaMessage("copyright", text="me"),
        mido.Message("sysex", data=(0x7E, 0x7F, 9, 1)), mido.MetaMessage("set_tempo", tempo=483_871),
        mido.MetaMessage("smpte_offset", frame_rate=25, hours=1, minutes=2, seconds=3, frames=4, sub_frames=5),
        mido.MetaMessage("time_signature", numerator=3, denominator=4),
        mido.MetaMessage("key_signature", key="Dm"), mido.MetaMessage("text", text="chord: Dm"),
        mido.MetaMessage("marker", text="A", time=480), mido.MetaMessage("set_tempo", tempo=500_001, time=7),
    ],
    [
        mido.MetaMessage("track_name", name="Lead"), mido.MetaMessage("midi_port", port=1),
        mido.MetaMessage("instrument_name", name="Flute"), mido.MetaMessage("sequencer_specific", data=(1, 2, 3)),
        mido.Message("control_change", channel=2, control=0, value=1),
        mido.Message("program_change", channel=2, program=73), mido.Message("pitchwheel", channel=2, pitch=-77),
        mido.MetaMessage("lyrics", text="la"), mido.Message("aftertouch", channel=2, value=9),
        mido.Message("note_on", channel=2, note=62, velocity=80),
        mido.Message("polytouch", channel=2, note=62, value=3, time=100), mido.MetaMessage("cue_marker", text="lights"),
        mido.Message("sysex", data=(1, 2), time=1), mido.UnknownMetaMessage(0x60, data=(5,)),
        mido.Message("note_off", channel=2, note=62, velocity=33, time=379),
        mido.Message("note_on", channel=2, note=65, velocity=70), mido.MetaMessage("text", text="here", time=9),
        mido.Message("note_off", channel=2, note=65, velocity=64, time=951),
    ],
]  # fmt: skip


def events(path: Path) -> Counter[str]:
    """Every event of a MIDI file with its tick, but the ends of tracks."""
    found: Counter[str] = Counter()
    for track in mido.MidiFile(path).tracks:
        now = 0
        for message in track:
            now += message.time
            if message.type != "end_of_track":
                found[f"{now} {message.copy(time=0)!r}"] += 1
    return found


@pytest.fixture
def full() -> Path:
    file = mido.MidiFile(type=1, ticks_per_beat=480)
    file.tracks.extend(mido.MidiTrack(track) for track in FULL)
    path = Path("full.mid")
    file.save(path)
    return path


def test_a_continuation_holds_every_event_of_the_file(run: Run, full: Path) -> None:
    assert run("continue", "full.mid", "-m", "tiny-random", "--bars", "2", "--seed", "1", "-o", "longer.mid")[0] == 0
    before, after = events(full), events(Path("longer.mid"))
    assert sum(before.values()) == sum(map(len, FULL))
    assert before - after == Counter()
    assert {event.split("(")[1].split(",")[0] for event in after - before} <= {"'note_on'", "'note_off'", "'text'"}


def test_converting_to_midi_loses_no_event(run: Run, full: Path) -> None:
    code, out, err = run("convert", "full.mid", "-o", "again.mid")
    assert (code, out, err) == (0, "again.mid\n", "1 bar, 2 notes\n")
    assert events(full) == events(Path("again.mid"))
    run("convert", "full.mid", "-o", "zero.mid", "--midi-format", "0")
    zero = mido.MidiFile("zero.mid")
    assert (zero.type, len(zero.tracks)) == (0, 1)
    assert events(full) - events(Path("zero.mid")) == Counter({f"0 {FULL[1][0]!r}": 1}), "all but the track's name"


@pytest.mark.parametrize("suffix", ["mid", "musicxml", "mxl", "abc", "json"])
def test_every_format_says_how_its_piece_was_made(run: Run, suffix: str) -> None:
    code, _, err = run("compose", *QUICK, "--polyphony", "1", "--seed", "4", "-o", f"a.{suffix}")
    assert code == 0 and "text" not in err
    facts = json.loads(run("--json", "info", f"a.{suffix}")[1])
    assert (
        facts["made_with"].endswith("--bars 1 --polyphony 1 --model tiny-random --seed 4")
        and facts["made_by"]["seed"] == 4
    )
    assert (facts["bars"], facts["metres"]) == (1, ["2/4"])


def test_limits_are_told_and_raised(run: Run) -> None:
    long = b"\0\x90\x3c\x40\xff\xff\xff\x7f\x80\x3c\x40\0\xff\x2f\0"
    Path("long.mid").write_bytes(smf.join(480, [long]))
    code, out, err = run("info", "long.mid")
    assert (code, out) == (2, "")
    assert err == (
        "musegen: long.mid: too much: 139810 bars and 279621 seconds, where 20000 and 21600 are allowed "
        "(--limit bars=139810 --limit seconds=279621 allows it)\n"
    )
    code, out, err = run("info", "long.mid", "--limit", "bars=139810", "--limit", "seconds=279621")
    assert (code, err) == (0, "") and "notes: 1\n" in out
    for wrong in ("bars", "bars=many", "bars=0", "pages=3"):
        code, out, err = run("info", "long.mid", "--limit", wrong)
        assert (code, out) == (2, "")
        assert err.startswith(f"musegen: cannot read the limit '{wrong}'; write NAME=NUMBER, the names are bytes, ")


def test_repairs_are_told_by_info_and_on_stderr(run: Run) -> None:
    Path("odd.mid").write_bytes(smf.join(480, [b"\0\x90\xff\x40\x60\x80\xff\x40"]))
    repaired = "odd.mid: repaired: 2 x data byte above 127, 1 x missing end of track"
    assert json.loads(run("--json", "info", "odd.mid")[1])["warnings"] == [repaired]
    assert run("convert", "odd.mid", "-o", "even.mid")[2] == f"musegen: {repaired}\n1 bar, 1 note\n"
    assert run("--quiet", "convert", "odd.mid", "-o", "even.mid", "--force")[2] == ""


def test_no_control_character_reaches_the_terminal(run: Run) -> None:
    name = "a\x1b[31m\x07b"
    write(Score(480, (Track([(0, 60, 480, 64)], name=name, lyrics=(Text(0, name),)),), title=name), "a.mid")
    for call in (("info", "a.mid"), ("info", f"{name}.mid"), ("continue", "a.mid", "--bars", "0"), (name,)):
        code, out, err = run(*call)
        assert "\x1b" not in out + err and "\x07" not in out + err, call
        assert code in (0, 2)


def test_a_pipe_is_read_by_what_it_begins_with(tmp_path: Path) -> None:
    shell = f'"{sys.executable}" -m musegen convert - -o - < "{SAMPLE}" | "{sys.executable}" -m musegen --json info -'
    ran = subprocess.run(["bash", "-c", shell], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout)["notes"] == read(SAMPLE).n_notes


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("old", [None, b"old"])
def test_a_signal_amid_writing_leaves_the_old_file_and_no_litter(
    tmp_path: Path, sent: signal.Signals, code: int, old: bytes | None
) -> None:
    if old is not None:
        (tmp_path / "out.mid").write_bytes(old)
    program = (
        "import os, sys, time\n"
        "from musegen.cli import main\n"
        "def slow(descriptor):\n"
        "    print('writing', flush=True)\n"
        "    time.sleep(30)\n"
        "os.fsync = slow\n"
        f"main(['convert', {str(SAMPLE)!r}, '-o', 'out.mid', '--force'])\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as ran:
        assert ran.stdout is not None and ran.stderr is not None
        assert ran.stdout.readline() == b"writing\n"
        assert len(list(tmp_path.iterdir())) == (1 if old is None else 2), "the temporary file is in the same folder"
        ran.send_signal(sent)
        assert ran.wait(20) == code
        assert b"Traceback" not in ran.stderr.read()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == ({} if old is None else {"out.mid": old})


def test_the_same_score_gives_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    for hash_seed in ("1", "2"):
        call = [sys.executable, "-m", "musegen", "convert", str(SAMPLE), "-o", f"{hash_seed}.mid"]
        subprocess.run(call, cwd=tmp_path, env={"PYTHONHASHSEED": hash_seed}, capture_output=True, check=True)
    assert (tmp_path / "1.mid").read_bytes() == (tmp_path / "2.mid").read_bytes()
