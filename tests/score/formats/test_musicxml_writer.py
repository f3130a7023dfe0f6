"""Score -> MusicXML, read back by a small reader of our own, by music21 and by verovio."""

from __future__ import annotations

import io
import warnings
import zipfile
from dataclasses import replace
from fractions import Fraction
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings

from musegen.score import timing
from musegen.score.chords import ChordSymbol, Degree, parse_symbol
from musegen.score.formats.musicxml_writer import to_bytes, to_mxl_bytes
from musegen.score.model import (
    BEND_DTYPE,
    CONTROL_DTYPE,
    NOTE_DTYPE,
    Chord,
    KeySignature,
    Score,
    Tempo,
    Text,
    TimeSignature,
    Track,
    frozen,
)
from musegen.score.notation.grid import timeline
from tests.score.formats.sheet_reader import read_sheet
from tests.strategies import scores

BAR = 1920
MELODY = frozen(
    [
        (0, 67, 480, 90), (480, 72, 720, 80), (1200, 74, 240, 1), (1440, 76, 320, 127), (1760, 77, 320, 64),
        (2080, 79, 320, 80), (2400, 80, BAR, 80), (4320, 79, 640, 80), (4960, 77, 640, 80), (5600, 76, 640, 80),
        (6240, 72, 480, 80), (6720, 72, 0, 80), (6720, 71, 192, 80), (6912, 70, 1248, 80),
    ],
    NOTE_DTYPE,
)  # fmt: skip
PIECE = Score(
    480,
    (
        Track(MELODY, program=40, name="Violin & <viola>", channel=2, lyrics=(Text(0, "Hal-"), Text(480, "lo"))),
        Track([(480, p, BAR, 80) for p in (60, 64, 67)] + [(480, 72, 480, 80)], name="Piano RH"),
        Track([(480, 36, BAR * 2, 80)], name="Piano LH"),
        Track([(480, 36, 240, 100), (480, 42, 480, 60), (960, 53, 240, 80)], is_drum=True, name="Kit"),
    ),
    tempos=(Tempo(0, 483_871), Tempo(2400, 500_123)),
    time_signatures=(
        TimeSignature(0, 1, 4), TimeSignature(480, 4, 4), TimeSignature(2400, 3, 4), TimeSignature(3840, 1, 4),
        TimeSignature(4320, 4, 4),
    ),
    key_signatures=(KeySignature(0, -3, "minor"), KeySignature(5280, 2, "major")),
    chords=(Chord(480, "Cm7"), Chord(1440, "F#m7b5/C"), Chord(2400, "N")),
    markers=(Text(480, "A"),),
    title="A piece",
    end=8160,
)  # fmt: skip


def xml(score: Score, warn: Any = pytest.fail) -> Any:
    return ET.fromstring(to_bytes(score, None, warn))  # noqa: S314 - our own bytes


def music21_of(score: Score) -> Any:
    """What music21 reads; its warnings are errors."""
    from music21 import converter

    return converter.parseData(to_bytes(score).decode(), format="musicxml")


def assert_same_sound(score: Score) -> None:
    """Every note with pitch, start, duration and velocity, and every bar and first voice as long as they should be."""
    lines, parts = timeline(score), read_sheet(to_bytes(score))
    quarter = lines.quarter
    for number, track in enumerate(score.tracks):
        rows = zip(
            lines.starts[number].tolist(), lines.stops[number].tolist(), track.notes["pitch"].tolist(),
            track.notes["velocity"].tolist(), strict=True,
        )  # fmt: skip
        wanted = sorted((Fraction(a, quarter), p, Fraction(b - a, quarter), v) for a, b, p, v in rows if b > a)
        assert parts[number].notes == wanted
        assert parts[number].ties_left == 0
        assert len(parts[number].graces) == len(track.notes) - len(wanted)
    for part in parts:
        lengths = [Fraction(bar.length, quarter) for bar in lines.bars]
        assert part.measures == lengths
        assert [voices["1"] for voices in part.voices] == lengths


# ---- notes ---------------------------------------------------------------------------------------------------


def test_every_note_of_the_piece_comes_back() -> None:
    assert_same_sound(PIECE)
    assert timeline(PIECE).rounded == 0


@given(scores(max_tracks=2, max_notes=20))
@settings(max_examples=60, deadline=None)
def test_every_note_of_any_score_comes_back_and_no_bar_is_overfull(score: Score) -> None:
    assert_same_sound(score)


def test_the_same_score_gives_the_same_bytes() -> None:
    assert to_bytes(PIECE) == to_bytes(replace(PIECE))
    assert to_mxl_bytes(PIECE) == to_mxl_bytes(replace(PIECE))


def test_every_velocity_comes_back() -> None:
    track = Track([(i * 480, 60, 480, i) for i in range(1, 128)])
    (part,) = read_sheet(to_bytes(Score(480, (track,))))
    assert [velocity for _, _, _, velocity in part.notes] == list(range(1, 128))
    assert "dynamics" not in next(xml(Score(480, (Track([(0, 60, 480, 80)]),))).iter("note")).attrib


def test_a_note_without_length_is_a_slashed_grace_note_before_the_next() -> None:
    notes = list(xml(PIECE).find("part").iter("note"))
    at = next(i for i, note in enumerate(notes) if note.find("grace") is not None)
    assert notes[at].find("grace").get("slash") == "yes"
    assert notes[at + 1].findtext("pitch/step") == "B"


def test_drums_keep_their_pitch_and_have_no_key() -> None:
    root = xml(PIECE)
    part = root.findall("part")[3]
    assert {midi.text for midi in root.iter("midi-unpitched")} == {"37", "43", "54"}
    assert part.find(".//key") is None and part.findtext(".//sign") == "percussion"
    assert [midi.findtext("midi-channel") for midi in root.iter("midi-instrument")][3:] == ["10"] * 3


def test_lyrics_stand_on_their_notes_and_others_are_counted() -> None:
    said: list[str] = []
    track = replace(PIECE.tracks[0], lyrics=(*PIECE.tracks[0].lyrics, Text(481, "lost")))
    root = xml(replace(PIECE, tracks=(track,)), said.append)
    assert [note.findtext("lyric/text") for note in root.iter("note") if note.find("lyric") is not None] == [
        "Hal-",
        "lo",
    ]
    assert said == ["1 lyric(s) at no note's beginning left out"]


def test_accidentals_stand_where_key_and_bar_do_not_say_them() -> None:
    notes = [(0, 66), (480, 66), (960, 65), (1440, 66), (1920, 66), (2400, 78)]
    track = Track([(start, pitch, 480, 80) for start, pitch in notes])
    root = xml(Score(480, (track,), key_signatures=(KeySignature(0, 0, "major"),)))
    found = [note.findtext("accidental") for note in root.iter("note") if note.find("pitch") is not None]
    assert found == ["sharp", None, "natural", "sharp", "sharp", "sharp"]


def test_a_note_tied_over_the_bar_line_has_its_accidental_once() -> None:
    track = Track([(960, 66, 1920, 80), (2880, 66, 960, 80)])
    root = xml(Score(480, (track,), key_signatures=(KeySignature(0, 0, "major"),)))
    found = [note.findtext("accidental") for note in root.iter("note") if note.find("pitch") is not None]
    assert found == ["sharp", None, "sharp"]


# ---- bars ----------------------------------------------------------------------------------------------------


def test_pickup_and_split_bar_are_numbered_and_show_no_metre_of_their_own() -> None:
    part = xml(PIECE).find("part")
    measures = [(m.get("number"), m.get("implicit"), m.findtext("attributes/time/beats")) for m in part]
    assert measures == [
        ("0", "yes", "4"), ("1", None, None), ("2", None, None), ("2a", "yes", None), ("3", None, None),
        ("4", None, None),
    ]  # fmt: skip


def test_a_silent_bar_is_one_rest() -> None:
    root = xml(Score(480, (Track([(0, 60, 480, 80), (BAR * 2, 60, BAR, 80)]),)))
    silent = root.find("part")[1].findall("note")
    assert len(silent) == 1
    assert silent[0].find("rest").get("measure") == "yes" and silent[0].find("type") is None


def test_a_score_without_notes_is_a_bar_of_rest() -> None:
    assert len(xml(Score()).findall("part/measure/note/rest")) == 1
    assert len(xml(Score(480, (Track(),), end=BAR * 3)).findall("part/measure")) == 3


# ---- the frame -----------------------------------------------------------------------------------------------


def test_tempi_come_back_to_the_microsecond() -> None:
    for microseconds in (1, 7, 483_871, 500_000, 500_123, 2**24 - 1):
        root = xml(replace(PIECE, tempos=(Tempo(0, microseconds),)))
        assert round(60e6 / float(root.find(".//sound").get("tempo"))) == microseconds
    assert [mark.text for mark in xml(PIECE).iter("per-minute")] == ["124", "119.97"]


def test_compound_metres_count_dotted_quarters() -> None:
    root = xml(Score(480, (Track([(0, 60, 720, 80)]),), (Tempo(0, 400_000),), (TimeSignature(0, 6, 8),)))
    assert root.find(".//beat-unit-dot") is not None and root.findtext(".//per-minute") == "100"


def test_a_ritardando_shows_no_row_of_marks() -> None:
    tempos = tuple(Tempo(i * 240, 500_000 + 1000 * i) for i in range(16))
    marks = list(xml(Score(480, (Track([(0, 60, BAR * 3, 80)]),), tempos)).iter("metronome"))
    assert [mark.get("print-object") for mark in marks] == ["no"] * 15 + [None]


def test_the_two_hands_of_a_piano_have_a_brace() -> None:
    parts = [element.tag + (element.get("type") or "") for element in xml(PIECE).find("part-list")]
    assert parts == ["score-part", "part-groupstart", "score-part", "score-part", "part-groupstop", "score-part"]


def test_what_the_page_does_not_hold_is_counted() -> None:
    said: list[str] = []
    track = Track(
        [(7, 60, 333, 80)], controls=frozen([(0, 64, 1)], CONTROL_DTYPE), bends=frozen([(0, 1), (1, 0)], BEND_DTYPE)
    )
    to_bytes(Score(480, (track,), chords=(Chord(0, "what"),), texts=(Text(0, "x"),)), None, said.append)
    assert said == [
        "1 note(s) put where note values begin and end", "1 chord symbol(s) that begin with no root left out",
        "1 text(s) left out", "1 controller(s) left out", "2 pitch bend(s) left out",
    ]  # fmt: skip


def test_characters_that_xml_cannot_say_are_left_out() -> None:
    root = xml(replace(PIECE, title="a\x00b\ud800c", tracks=(replace(PIECE.tracks[0], name="\x1b[0m"),)))
    assert root.findtext(".//work-title") == "abc" and root.findtext(".//part-name") == "[0m"


# ---- chord symbols -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("symbol", "parts"),
    [
        ("C", ChordSymbol(("C", 0), "", "major")),
        ("Dm7", ChordSymbol(("D", 0), "m7", "minor-seventh")),
        ("F#m7b5/C", ChordSymbol(("F", 1), "m7b5", "half-diminished", (), ("C", 0))),
        ("Bb7(b9)", ChordSymbol(("B", -1), "7(b9)", "dominant", (Degree(9, -1, "add"),))),
        ("Cadd9", ChordSymbol(("C", 0), "add9", "major", (Degree(9, 0, "add"),))),
        ("C7#5", ChordSymbol(("C", 0), "7#5", "dominant", (Degree(5, 1, "alter"),))),
        ("Cno3", ChordSymbol(("C", 0), "no3", "major", (Degree(3, 0, "subtract"),))),
        ("G7sus4", ChordSymbol(("G", 0), "7sus4", "suspended-fourth")),
        ("C6/9", ChordSymbol(("C", 0), "6/9", "other")),
        ("Cxyz/Gb", ChordSymbol(("C", 0), "xyz", "other", (), ("G", -1))),
        ("N", ChordSymbol(None, "N", "none")),
        ("hm", None),
        ("", None),
    ],
)
def test_symbols_are_taken_apart(symbol: str, parts: ChordSymbol | None) -> None:
    assert parse_symbol(symbol) == parts


def test_chord_symbols_stand_at_their_place_and_keep_their_text() -> None:
    stream = music21_of(PIECE)
    found = [(c.getOffsetInHierarchy(stream), c.figure) for c in stream.recurse().getElementsByClass("Harmony")]
    assert found == [(1, "Cm7"), (3, "F#ø7/C"), (5, "N")]
    assert [kind.get("text") for kind in xml(PIECE).iter("kind")] == ["m7", "m7b5", "N"]


# ---- other programs ------------------------------------------------------------------------------------------


def test_music21_reads_bars_metres_keys_tempi_and_instruments() -> None:
    stream = music21_of(PIECE)
    part = stream.parts[0]
    assert [m.offset for m in part.getElementsByClass("Measure")] == [0, 1, 5, 8, 9, 13]
    assert [t.ratioString for t in part.recurse().getElementsByClass("TimeSignature")] == ["4/4"]
    keys = part.recurse().getElementsByClass("KeySignature")
    assert [(k.getOffsetInHierarchy(stream), k.sharps, k.mode) for k in keys] == [(0, -3, "minor"), (11, 2, "major")]
    assert [p.partName for p in stream.parts] == [track.name for track in PIECE.tracks]
    assert [p.getInstrument().midiProgram for p in stream.parts][:3] == [40, 0, 0]
    assert part.getInstrument().midiChannel == 2
    assert stream.metadata.title == "A piece"


@pytest.mark.parametrize("work", ["bach/bwv66.6", "bach/bwv10.7", "corelli/opus3no1/1grave", "mozart/k545"])
def test_pieces_of_the_corpus_are_read_by_music21_as_they_were(work: str) -> None:
    from music21 import corpus

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the corpus, not about us
        stream = corpus.parse(work)
    score = score_of(stream)
    again = music21_of(score)
    assert [sounding(part) for part in again.parts] == [sounding(part) for part in stream.parts]
    bars = timing.bar_starts(score)[:-1]
    for part in again.parts:
        assert [m.offset * score.ticks_per_beat for m in part.getElementsByClass("Measure")] == bars.tolist()


def sounding(part: Any) -> list[tuple[Fraction, int, Fraction]]:
    """The notes of a music21 part, tied ones as one."""
    rows: list[list[Any]] = []
    held: dict[Any, list[Any]] = {}
    for element in part.flatten().notes:
        for single in element.notes if element.isChord else (element,):
            start, length = Fraction(element.offset), Fraction(element.quarterLength)
            tie = single.tie.type if single.tie else ""
            if tie in {"stop", "continue"}:
                row = held.pop((start, single.pitch.midi))
                row[2] += length
            else:
                row = [start, single.pitch.midi, length]
                rows.append(row)
            if tie in {"start", "continue"}:
                held[start + length, single.pitch.midi] = row
    return sorted(tuple(row) for row in rows)


def score_of(stream: Any) -> Score:
    """The notes and metres of a stream whose times are multiples of a 48th of a quarter."""
    tracks = [
        Track([(int(a * 48), pitch, int(b * 48), 80) for a, pitch, b in sounding(part)], name=f"Part {i}")
        for i, part in enumerate(stream.parts)
    ]
    measures = list(stream.parts[0].getElementsByClass("Measure"))
    metres: list[TimeSignature] = []
    metre = measures[0].timeSignature
    for measure in measures:
        metre = measure.timeSignature or metre
        length = Fraction(measure.duration.quarterLength)
        own = (metre.numerator, metre.denominator)
        if length != Fraction(4 * own[0], own[1]) and measure is not measures[-1]:
            whole = length / 4
            denominator = max(4, whole.denominator)
            own = (int(whole * denominator), denominator)
        if not metres or (metres[-1].numerator, metres[-1].denominator) != own:
            metres.append(TimeSignature(int(measure.offset * 48), *own))
    return Score(48, tuple(tracks), time_signatures=tuple(metres))


def test_verovio_engraves_it_without_a_complaint(capfd: pytest.CaptureFixture[str]) -> None:
    verovio = pytest.importorskip("verovio")
    verovio.enableLog(verovio.LOG_WARNING)
    toolkit = verovio.toolkit()
    assert toolkit.loadData(to_bytes(PIECE).decode())
    assert toolkit.renderToSVG(1).count('class="measure"') == 6
    assert capfd.readouterr().err == ""


# ---- .mxl ----------------------------------------------------------------------------------------------------


def test_an_mxl_file_says_where_its_score_is() -> None:
    with zipfile.ZipFile(io.BytesIO(to_mxl_bytes(PIECE))) as archive:
        container: Any = ET.fromstring(archive.read("META-INF/container.xml"))  # noqa: S314 - our own bytes
        name = container.find("rootfiles/rootfile").get("full-path")
        assert archive.read(name) == to_bytes(PIECE)
        assert archive.namelist()[0] == "META-INF/container.xml"
