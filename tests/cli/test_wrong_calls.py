"""Every wrong call gets its one line, exit 2, and changes nothing."""

from __future__ import annotations

import shlex
import shutil
from pathlib import Path

import pytest

from tests.cli.words import SAMPLE, Run

# A line of arguments, and what follows "musegen: " on stderr; what ends with a blank or "(" is only its beginning.
STYLES_LISTED = "the styles are folk, chorale, hymn, "
WRONG = [
    # what issue 2 lists
    ("info none.mid", "none.mid: no such file"),
    ("continue none.mid", "none.mid: no such file"),
    ("render none.mid", "none.mid: no such file"),
    ("tokenize none.mid", "none.mid: no such file"),
    ("continue text.mid", "text.mid: "),
    ("continue folder.mid", "folder.mid: is a folder; name a file"),
    ("compose --bars 0", "Invalid value for '--bars': 0 is not in the range 1<=x<=256. (see musegen compose --help)"),
    ("compose --key H", "'H' is not a key; say it like D major, F# minor, Bb or Dm"),
    ("compose --meter 5/7", "'5/7' is not a metre; say 3/4 or 6/8: 1 to 24 over 1, 2, 4, 8, 16 or 32"),
    ("compose --top-p 1.5", "Invalid value for '--top-p': 1.5 is not in the range 0<x<=1. (see musegen "),
    ("compose -m nothing", "unknown model 'nothing'; there are "),
    ("compose --style nothing", f"unknown style 'nothing'; {STYLES_LISTED}"),
    ("compose -o old.mid", "old.mid: exists already; choose another name or say --force"),
    ("compose -n 2 -o new.mid", "new-002.mid: exists already; choose another name or say --force"),
    ("render old.mid -o old.png", "old.png: exists already; choose another name or say --force"),
    ("batch plan.csv -o songs", "plan.csv row 2: bars is 'many', which is no whole number"),
    ("batch bad.jsonl -o songs", "bad.jsonl row 2: no JSON object ("),
    ("compose --motif 'D4:1 X9:1'", "motif: \"X9:1\" at position 6 (word 2): 'X9' is not a pitch; "),
    ("compose -m broken.safetensors", "broken.safetensors: the file is damaged or no .safetensors ("),
    # and others of the kind
    ("compose -m none.safetensors", "none.safetensors: no such file; "),
    (
        "compose -o a.wav",
        "a.wav: the suffix must be one of .mid, .midi, .kar, .musicxml, .xml, .mxl, .abc, .json, ",
    ),
    ("compose -o a.abc --midi-format 0", "--midi-format does nothing for a.abc, which is no MIDI file; leave it out"),
    ("convert tune.mid -o a.mxl --midi-format 1", "--midi-format does nothing for a.mxl, which is no MIDI file; "),
    ("convert tune.mid --expand-repeats -o a.mid", "--expand-repeats does nothing for tune.mid; only .musicxml, "),
    ("info tune.mid --limit pages=3", "cannot read the limit 'pages=3'; write NAME=NUMBER, the names are bytes, "),
    ("convert tune.mid -o old.mid", "old.mid: exists already; choose another name or say --force"),
    ("convert text.mid -o a.mid", "text.mid: not a MIDI file (it has no MThd header)"),
    ("compose -o folder.mid -n 1 --force", "folder.mid/folk-1.mid: is a folder; choose another name"),
    ("compose -o old.mid/a.mid", "old.mid/a.mid: old.mid is a file, not a folder; choose another name"),
    ("compose -n 2 -o -", "stdout holds one piece, not 2; give -o a folder or a name"),
    ("compose --range C5", "cannot read the range 'C5'; write lowest-highest, such as C3-C6"),
    ("compose --range C5-C4", "the range 72 to 60 must go upwards within MIDI pitches 0 to 127"),
    ("compose --instrument kazoo-o-matic", "unknown instrument 'kazoo-o-matic'; "),
    ("compose --beams 3", "--beams does nothing in --search sample; say --search beam, or leave it out"),
    ("compose --search greedy --top-k 5", "--top-k does nothing in --search greedy, which takes the likeliest; "),
    ("compose --device cuda", "Invalid value for '--device': 'cuda' is not one of 'auto', 'cpu'. ("),
    ("compose --nonsense", "No such option "),
    ("continue tune.mid --key D", "--key does nothing without --scale strict: "),
    ("continue tune.mid --meter 3/4", "No such option "),
    ("infill none.mid --bars 1-2", "none.mid: no such file"),
    ("infill tune.mid", "Missing option '--bars'. (see musegen infill --help)"),
    ("infill tune.mid --bars five", "cannot read the bars 'five'; write first-last, such as 5-8, or one number"),
    ("infill tune.mid --bars 9-99", "bars 9 to 99 are not there to write anew; the piece has 1 to 14"),
    ("infill tune.mid --bars 1 --track Tuba", "there is no track 'Tuba'; there are 1 Voice 1, 2 Voice 2, 3 Voice 3, "),
    ("infill tune.mid --bars 1 --track 5", "there is no track '5'; there are 1 Voice 1, "),
    ("infill tune.mid --bars 1 --key D", "--key does nothing without --scale strict: "),
    ("infill tune.mid --bars 1 --chords 'F | Hm'", "unknown chord 'Hm' in bar 2; write a root (C, F#, Bb), "),
    ("harmonize tune.mid --keep --melody 1", "--melody does nothing with --keep, which keeps every track; "),
    (
        "harmonize tune.mid --style folk --seed 1 -m tiny-random",
        "a folk is written for one instrument; name those to add ",
    ),
    ("compose --chords 'C || F'", "bar 2 of the chords is empty; say N where no chord is to sound"),
    ("compose --guidance 9", "Invalid value for '--guidance': 9.0 is not in the range 1<=x<=5. (see musegen "),
    ("compose --guidance 2 --search beam", "guidance does not go with beam search: leave one of them out"),
    ("render old.mid -o a.pdf", "a.pdf: a picture is a .png here"),
    ("render tune.mid --bars 9-3", "cannot read the bars '9-3'; write 5-12, or 5 for one"),
    ("models show nothing", "unknown model 'nothing'; there are "),
    ("models show", "Missing argument 'NAME'. (see musegen models show --help)"),
    ("batch column.csv", "column.csv row 1: unknown column 'colour'; there are style, key, "),
    ("batch short.csv", "short.csv row 1: not as many fields as there are columns"),
    ("batch empty.csv", "empty.csv: the plan has no rows"),
    ("batch half.jsonl", "half.jsonl row 1: bars is 2.5, which is no whole number"),
    ("batch plan.txt", "plan.txt: a plan is a .csv, .jsonl or .yaml file"),
    ("batch none.csv", "none.csv: no such file"),
    ("batch", "give a PLAN or --count N, one of them (see musegen batch --help)"),
    ("batch plan.csv --count 3", "give a PLAN or --count N, one of them (see musegen batch --help)"),
    ("batch --count 1 -o old.mid", "old.mid: is a file; -o names a folder here"),
    ("dance", "No such command 'dance'."),
]


@pytest.mark.parametrize(("line", "says"), WRONG, ids=[line for line, _ in WRONG])
def test_a_wrong_call_gets_one_line_and_exit_2(run: Run, line: str, says: str) -> None:
    Path("text.mid").write_text("no midi")
    Path("folder.mid").mkdir()
    Path("folder.mid/folk-1.mid").mkdir()
    Path("broken.safetensors").write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{broken")
    for name in ("old.mid", "old.png", "new-002.mid"):
        Path(name).write_text("mine")
    shutil.copy(SAMPLE, "tune.mid")
    Path("plan.csv").write_text("bars,style\n8,folk\nmany,folk\n")
    Path("bad.jsonl").write_text('{"bars": 2}\n{"bars": \n')
    Path("column.csv").write_text("bars,colour\n8,red\n")
    Path("short.csv").write_text("bars,style\n8\n")
    Path("empty.csv").write_text("bars,style\n")
    Path("half.jsonl").write_text('{"bars": 2.5}\n')
    before = sorted(Path().rglob("*"))
    seed = ["--seed", "1"] if line.startswith(("compose", "continue", "batch")) else []
    code, out, err = run(*shlex.split(line), *seed)
    assert (code, out) == (2, "")
    assert err.startswith(f"musegen: {says}") and err.count("\n") == 1
    assert says.endswith((" ", "(")) or err == f"musegen: {says}\n"
    assert sorted(Path().rglob("*")) == before and Path("old.mid").read_text() == "mine"
