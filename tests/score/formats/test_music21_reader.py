"""Files read through music21: the process around it, and what comes out of files."""

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from musegen.errors import FileFormatError
from musegen.score.formats import music21_reader
from musegen.score.formats.music21_files import read_file
from musegen.score.formats.music21_reader import from_kern, from_musicxml
from musegen.score.formats.options import Limits, ReadOptions
from musegen.score.model import Chord, KeySignature, Score, Tempo, Text, TimeSignature
from musegen.score.timing import bar_starts
from tests.score.formats.test_mxl import packed

NOTE = "<note>{}<pitch><step>{}</step><octave>4</octave></pitch><duration>{}</duration>{}</note>"


def note(step: str, duration: int, before: str = "", after: str = "<voice>1</voice>") -> str:
    return NOTE.format(before, step, duration, after)


def document(*parts: str, head: str = "", players: tuple[str, ...] = ("", "", "")) -> str:
    """Parts, each the measures' contents separated by |, four divisions a quarter."""
    heads = "".join(
        f'<score-part id="P{i}"><part-name>Part {i}</part-name>{players[i]}</score-part>' for i in range(len(parts))
    )
    bodies = ""
    for i, part in enumerate(parts):
        measures = "".join(f'<measure number="{n}">{m}</measure>' for n, m in enumerate(part.split("|")))
        bodies += f'<part id="P{i}">{measures}</part>'
    return f"<score-partwise>{head}<part-list>{heads}</part-list>{bodies}</score-partwise>"


def attributes(beats: int = 4, unit: int = 4, more: str = "") -> str:
    time = f"<time><beats>{beats}</beats><beat-type>{unit}</beat-type></time>"
    return f"<attributes><divisions>4</divisions><key><fifths>0</fifths></key>{time}{more}</attributes>"


@pytest.fixture
def read(tmp_path: Path) -> Any:
    """Reads text in this process, and gives (Score, warnings)."""

    def reader(text: str, kind: str = "musicxml", *, repeats: bool = False) -> tuple[Score, list[str]]:
        source = tmp_path / f"score.{kind}"
        source.write_text(text, "utf-8")
        said: list[str] = []
        return read_file(source, said.append, ReadOptions(repeats=repeats)), said

    return reader


def rows(score: Score, track: int = 0) -> list[tuple[int, ...]]:
    return [tuple(row) for row in score.tracks[track].notes.tolist()]


# ---- the process ---------------------------------------------------------------------------------------------

SMALL = document(attributes() + note("C", 16))


def test_a_child_reads_the_file_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    said: list[str] = []
    score = music21_reader.from_mxl(packed({"a.xml": SMALL}), said.append, ReadOptions())
    assert (rows(score), score.tracks[0].name, said) == ([(0, 60, 1920, 80)], "Part 0", [])
    assert list(tmp_path.iterdir()) == []


def test_utf_16_and_timewise_are_read() -> None:
    text = "<score-timewise><part-list><score-part id='P0'><part-name>é</part-name></score-part></part-list>"
    text += f"<measure number='1'><part id='P0'>{attributes()}{note('C', 16)}</part></measure></score-timewise>"
    data = ('<?xml version="1.0" encoding="UTF-16"?>' + text).encode("utf-16")
    score = from_musicxml(data, pytest.fail, ReadOptions())
    assert (rows(score), score.tracks[0].name) == ([(0, 60, 1920, 80)], "é")


CHILDREN = [
    ("print('garbage')", {}, "no answer that makes sense"),
    ("print('[]')", {}, "no answer that makes sense"),
    ("raise ImportError('no music21')", {}, "could not be run .*no music21"),
    ("import os; os.kill(os.getpid(), 9)", {}, "stopped by signal 9"),
    ("import os; os.fork() or os.setpgid; import time; time.sleep(60)", {"read_seconds": 1}, "more than 1 seconds"),
]


@pytest.mark.parametrize(("child", "limits", "said"), CHILDREN, ids=[said for *_, said in CHILDREN])
def test_whatever_becomes_of_the_child_is_one_line(
    child: str, limits: dict[str, int], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(music21_reader, "_START", child)
    monkeypatch.setattr(music21_reader, "_SECONDS_TO_START", 0)
    with pytest.raises(FileFormatError, match=said) as error:
        from_musicxml(SMALL.encode(), pytest.fail, ReadOptions(limits=Limits(**limits)))
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_memory_and_computing_time_are_limited() -> None:
    many = document(attributes() + "|".join(note("C", 16) for _ in range(60_000)))
    with pytest.raises(FileFormatError, match="needs more than 150000000 bytes of memory"):
        from_musicxml(many.encode(), pytest.fail, ReadOptions(limits=Limits(read_bytes=150_000_000)))
    with pytest.raises(FileFormatError, match="needs more than 1 seconds to read"):
        from_musicxml(many.encode(), pytest.fail, ReadOptions(limits=Limits(read_seconds=1)))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_when_the_parent_is_stopped_the_child_and_the_folder_go(number: int, tmp_path: Path) -> None:
    code = """
        import signal, sys, tempfile
        from musegen.score.formats import music21_reader
        from musegen.score.formats.options import ReadOptions
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
        tempfile.tempdir = sys.argv[1]
        music21_reader._START = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"
        music21_reader.from_musicxml(b"<score-partwise/>", print, ReadOptions())
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as parent:
        text = ""
        while not text.endswith("\n"):
            time.sleep(0.02)
            text = "".join(answer.read_text() for answer in tmp_path.glob("*/answer"))
        parent.send_signal(number)
        assert parent.wait(10) != 0
    with pytest.raises(ProcessLookupError):
        os.kill(int(text), 0)
    assert list(tmp_path.iterdir()) == []


def test_what_music21_cannot_read_is_said_in_one_line() -> None:
    with pytest.raises(FileFormatError, match="no part with a measure"):
        from_musicxml(b"<score-partwise/>", pytest.fail, ReadOptions())
    with pytest.raises(FileFormatError, match="not a kern file"):
        from_kern(b"hello", pytest.fail, ReadOptions())
    with pytest.raises(FileFormatError, match="not a text file"):
        from_kern(b"**kern\0", pytest.fail, ReadOptions())


# ---- bars ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("measures", "starts", "metres"),
    [
        ((4, 16, 12), [0, 480, 2400], [(0, 1, 4), (480, 4, 4)]),
        ((2, 16, 14), [0, 240, 2160], [(0, 1, 8), (240, 4, 4)]),
        ((16, 8, 8, 16), [0, 1920, 2880, 3840], [(0, 4, 4), (1920, 2, 4), (2880, 2, 4), (3840, 4, 4)]),
        ((16, 20, 16), [0, 1920, 4320], [(0, 4, 4), (1920, 5, 4), (4320, 4, 4)]),
        ((16, 20), [0, 1920], [(0, 4, 4), (1920, 5, 4)]),
    ],
)
def test_bars_begin_where_the_barlines_are(
    read: Any, measures: tuple[int, ...], starts: list[int], metres: list[tuple[int, ...]]
) -> None:
    score, _ = read(document(attributes() + "|".join(note("C", length) for length in measures)))
    assert bar_starts(score).tolist()[: len(starts)] == starts
    assert [(m.time, m.numerator, m.denominator) for m in score.time_signatures] == metres
    assert score.end == 120 * sum(measures)


def test_a_part_that_leaves_a_rest_out_does_not_run_ahead_of_the_others(read: Any) -> None:
    first = attributes() + note("C", 16) + "|" + note("D", 16) + "|" + note("E", 16)
    second = attributes() + note("C", 8) + "|" + "|" + note("G", 16)
    score, _ = read(document(first, second))
    assert rows(score, 1) == [(0, 60, 960, 80), (3840, 67, 1920, 80)]
    assert bar_starts(score).tolist() == [0, 1920, 3840, 5760]


def test_a_silent_part_does_not_lengthen_the_pickup(read: Any) -> None:
    rest = '<note><rest measure="yes"/><duration>16</duration></note>'
    score, _ = read(document(attributes() + rest + "|" + rest, attributes() + note("C", 4) + "|" + note("C", 16)))
    assert bar_starts(score).tolist() == [0, 480, 2400]


def test_a_metre_that_midi_cannot_say_is_named_and_its_bars_stay(read: Any) -> None:
    score, said = read(document(attributes(4, 3) + note("C", 12) + "|" + note("D", 12) + "|"))
    assert bar_starts(score).tolist() == [0, 1440, 2880]
    assert said == ["not kept: 1 metres that MIDI cannot say"]


def test_a_note_longer_than_time_itself_is_refused() -> None:
    with pytest.raises(FileFormatError, match="out of range"):
        from_musicxml(document(attributes() + note("C", 10**14)).encode(), pytest.fail, ReadOptions())


REPEATED = (
    attributes() + note("C", 16) + '<barline location="right"><repeat direction="backward"/></barline>|' + note("D", 16)
)


def test_repeats_are_as_written_or_played_out(read: Any) -> None:
    score, said = read(document(REPEATED))
    assert ([row[1] for row in rows(score)], said) == ([60, 62], ["not kept: 1 repeat signs"])
    score, _ = read(
        document(REPEATED, players=("<midi-instrument id='a'><midi-program>41</midi-program></midi-instrument>",)),
        repeats=True,
    )
    assert [row[1] for row in rows(score)] == [60, 60, 62]
    assert score.tracks[0].program == 40


# ---- notes ---------------------------------------------------------------------------------------------------


def test_ties_are_joined_in_chords_and_voices_even_without_a_stop(read: Any) -> None:
    start, stop = '<tie type="start"/>', '<tie type="stop"/>'
    chord = note("C", 16, after=start) + note("E", 16, "<chord/>", start)
    on = note("C", 8, after=stop) + note("E", 16, "<chord/>").replace("<duration>16", "<duration>8") + note("E", 8)
    score, _ = read(document(attributes() + chord + "|" + on))
    assert rows(score) == [(0, 60, 2880, 80), (0, 64, 2880, 80), (2880, 64, 960, 80)]


def test_velocities_come_from_the_note_or_from_the_dynamics_of_its_part(read: Any) -> None:
    mark = "<direction><direction-type><dynamics><{}/></dynamics></direction-type></direction>"
    exact = note("D", 4).replace("<note>", '<note dynamics="110">')
    body = attributes() + note("C", 4) + mark.format("pp") + note("C", 4) + exact + mark.format("sf") + note("C", 4)
    score, said = read(document(body, attributes() + note("C", 16)))
    assert [row[3] for row in rows(score)] == [80, 33, 99, 33]
    assert rows(score, 1)[0][3] == 80
    assert said == ["not kept: 1 accents of one note (sf)"]


def test_grace_notes_play_before_the_beat_from_the_end_of_the_note_before(read: Any) -> None:
    grace = "<note><grace/><pitch><step>D</step><octave>4</octave></pitch><voice>1</voice></note>"
    score, said = read(document(attributes() + note("C", 8) + grace + grace + note("E", 8)))
    assert rows(score) == [(0, 60, 840, 80), (840, 62, 60, 80), (900, 62, 60, 80), (960, 64, 960, 80)]
    assert said == ["2 grace note(s) are played just before their beat"]
    score, _ = read(document(attributes() + grace + note("E", 16)))
    assert rows(score) == [(0, 62, 60, 80), (60, 64, 1860, 80)]


def test_cue_notes_are_silent_and_transposing_instruments_sound(read: Any) -> None:
    clarinet = attributes(more="<transpose><diatonic>-1</diatonic><chromatic>-2</chromatic></transpose>")
    harmony = "<harmony><root><root-step>D</root-step></root><kind>minor</kind></harmony>"
    score, said = read(document(clarinet + harmony + note("D", 8) + note("E", 8, "<cue/>")))
    assert rows(score) == [(0, 60, 960, 80)]
    assert score.chords == (Chord(0, "Cm"),)
    assert score.key_signatures == (KeySignature(0, -2, "major"),)
    assert said == ["not kept: 1 cue notes"]


def test_drums_have_the_pitch_that_their_instrument_says(read: Any) -> None:
    player = "".join(
        f'<midi-instrument id="{name}"><midi-channel>10</midi-channel><midi-unpitched>{pitch}</midi-unpitched>'
        "</midi-instrument>"
        for name, pitch in (("kick", 37), ("snare", 39))
    )
    hit = "<note><unpitched><display-step>F</display-step><display-octave>4</display-octave></unpitched>"
    hit += '<duration>8</duration><instrument id="{}"/></note>'
    score, _ = read(document(attributes() + hit.format("snare") + hit.format("kick"), players=(player,)))
    assert [row[1] for row in rows(score)] == [38, 36]
    assert (score.tracks[0].is_drum, score.tracks[0].channel) == (True, 9)


def test_staves_are_tracks_and_share_their_dynamics(read: Any) -> None:
    mark = "<direction><direction-type><dynamics><ff/></dynamics></direction-type><staff>1</staff></direction>"
    upper = note("C", 16, after="<voice>1</voice><staff>1</staff>")
    lower = note("E", 16, after="<voice>5</voice><staff>2</staff>")
    body = attributes(more="<staves>2</staves>") + mark + upper + "<backup><duration>16</duration></backup>" + lower
    player = "<midi-instrument id='a'><midi-channel>3</midi-channel><midi-program>7</midi-program></midi-instrument>"
    score, _ = read(document(body, players=(player,)))
    assert [rows(score, i) for i in (0, 1)] == [[(0, 60, 1920, 112)], [(0, 64, 1920, 112)]]
    assert [(t.name, t.program, t.channel) for t in score.tracks] == [("Part 0", 6, 2)] * 2


# ---- the frame -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("harmony", "symbol"),
    [
        ("<root><root-step>B</root-step><root-alter>-1</root-alter></root><kind>dominant</kind>", "Bb7"),
        (
            (
                "<root><root-step>F</root-step><root-alter>1</root-alter></root><kind>half-diminished</kind>"
                "<bass><bass-step>C</bass-step></bass>"
            ),
            "F#m7b5/C",
        ),
        ('<root><root-step>C</root-step></root><kind text="-7">minor-seventh</kind>', "C-7"),
        (
            (
                "<root><root-step>C</root-step></root><kind>dominant</kind><degree><degree-value>9</degree-value>"
                "<degree-alter>-1</degree-alter><degree-type>add</degree-type></degree>"
            ),
            "C7b9",
        ),
        ("<root><root-step>G</root-step></root><kind>none</kind>", "N"),
    ],
)
def test_chord_symbols_are_plain_and_do_not_sound(read: Any, harmony: str, symbol: str) -> None:
    body = attributes() + note("C", 8) + f"<harmony>{harmony}<offset>4</offset></harmony>" + note("C", 8)
    score, said = read(document(body))
    assert (score.chords, score.n_notes, said) == ((Chord(1440, symbol),), 2, [])


def test_tempi_are_those_that_sound_and_words_are_none(read: Any) -> None:
    metronome = "<direction-type><metronome><beat-unit>half</beat-unit><per-minute>60</per-minute></metronome>"
    body = attributes() + f"<direction>{metronome}</direction-type></direction>" + note("C", 16)
    body += f"|<direction>{metronome}</direction-type><sound tempo='123.456'/></direction>" + note("C", 16)
    body += "|<direction><direction-type><words>Allegro</words></direction-type></direction>" + note("C", 16)
    score, said = read(document(body, body))
    assert score.tempos == (Tempo(0, 500_000), Tempo(1920, round(60e6 / 123.456)))
    assert said == ["not kept: 2 text expressions"]


def test_titles_composers_lyrics_and_rehearsal_marks_are_kept(read: Any) -> None:
    head = "<movement-title>A song</movement-title>"
    head += '<identification><creator type="composer">A. Nonymous</creator></identification>'
    verses = "".join(f'<lyric number="{n}"><text>{text}</text></lyric>' for n, text in ((1, "la"), (2, "lo")))
    mark = "<direction><direction-type><rehearsal>B</rehearsal></direction-type></direction>"
    score, said = read(document(attributes() + mark + note("C", 16, after=verses), head=head))
    assert (score.title, score.texts, score.markers) == ("A song", (Text(0, "composer: A. Nonymous"),), (Text(0, "B"),))
    assert score.tracks[0].lyrics == (Text(0, "la"),)
    assert said == ["not kept: 1 lyrics of later verses"]


# ---- kern ----------------------------------------------------------------------------------------------------

KERN = """**kern\t**kern
*M3/4\t*M3/4
*k[b-]\t*k[b-]
*d:\t*d:
4D\t4a
=1\t=1
2.C#\t[2.cc
=2\t=2
2.D\t4cc]
.\t2f#
*-\t*-
"""


def test_kern_has_pickups_ties_keys_and_parts(read: Any) -> None:
    score, _ = read(KERN, "kern")
    assert sorted([row[1] for row in rows(score, i)] for i in (0, 1)) == [[50, 49, 50], [69, 72, 66]]
    assert [(m.time, m.numerator, m.denominator) for m in score.time_signatures] == [(0, 1, 4), (480, 3, 4)]
    assert score.key_signatures[-1] == KeySignature(0, -1, "minor")
    assert max(row[2] for track in (0, 1) for row in rows(score, track)) == 1920
    assert TimeSignature(480, 3, 4) in score.time_signatures
