"""ABC tunes as Scores."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from musegen.errors import FileFormatError
from musegen.score.formats.abc_reader import from_abc
from musegen.score.formats.options import Limits, ReadOptions
from musegen.score.model import Chord, KeySignature, Score, Tempo, Text
from musegen.score.timing import bar_starts

HEAD = "X:1\nT:A tune\nM:4/4\nL:1/8\nK:{}\n"


def read(music: str, key: str = "C", head: str = HEAD, **options: Any) -> tuple[Score, list[str]]:
    said: list[str] = []
    return from_abc((head.format(key) + music).encode(), said.append, ReadOptions(**options)), said


def pitches(score: Score, track: int = 0) -> list[int]:
    return [int(pitch) for pitch in score.tracks[track].notes["pitch"]]


def eighths(score: Score) -> list[tuple[float, float]]:
    """(start, duration) of the notes in eighths."""
    unit = score.ticks_per_beat / 2
    return [(start / unit, duration / unit) for start, _, duration, _ in score.tracks[0].notes.tolist()]


# ---- notes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("music", "durations"),
    [
        ("A2 A/ A// A3/2 A/4 A", [2, 0.5, 0.25, 1.5, 0.25, 1]),
        ("A>B c<d A>>B A>(Bc)", [1.5, 0.5, 0.5, 1.5, 1.75, 0.25, 1.5, 0.5, 1]),
        ("(4ABcd A", [0.75] * 4 + [1]),
        ("(2AB (5:2:3ABc A", [1.5, 1.5, 0.4, 0.4, 0.4, 1]),
        ("A4-|A2 B2-B", [6, 3]),
        ("[CE]2 [C2E]", [2, 2, 2, 1]),
    ],
)
def test_lengths_dots_tuplets_and_ties(music: str, durations: list[float]) -> None:
    score, said = read(music)
    assert [duration for _, duration in eighths(score)] == pytest.approx(durations)
    assert said == []


def test_rests_of_notes_and_of_bars() -> None:
    score, _ = read("A2 z2 x2 A2|Z2|A8|")
    assert eighths(score) == [(0, 2), (6, 2), (24, 8)]
    assert bar_starts(score).tolist() == [0, 1920, 3840, 5760, 7680]


def test_octaves_and_accidentals_that_hold_for_the_bar_and_the_octave() -> None:
    assert pitches(read("C,, C c c''")[0]) == [36, 60, 72, 96]
    assert pitches(read("^FF=FF f|F _B^^C__D")[0]) == [66, 66, 65, 65, 77, 65, 70, 62, 60]


def test_an_overlaid_voice_sounds_from_the_beginning_of_its_bar() -> None:
    score, _ = read("A8|A8 & C4 E4|A8")
    assert eighths(score) == [(0, 8), (8, 4), (8, 8), (12, 4), (16, 8)]


def test_grace_notes_and_decorations_take_no_time_of_their_own() -> None:
    score, said = read("A4 {gf}.~!trill!A4|!p!A2 +f+A2 k[ce]4")
    assert eighths(score) == [(0, 3.5), (3.5, 0.25), (3.75, 0.25), (4, 4), (8, 2), (10, 2), (12, 4), (12, 4)]
    assert score.tracks[0].notes["velocity"].tolist() == [80, 80, 80, 80, 49, 96, 96, 96]
    assert said == ["2 grace note(s) are played just before their beat", "not kept: 4 ornaments and articulations"]


# ---- frame ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "fifths", "mode", "f_b"),
    [
        ("G", 1, "major", [66, 71]), ("Bb", -2, "major", [65, 70]), ("F#m", 3, "minor", [66, 71]),
        ("Ador", 1, "minor", [66, 71]), ("A Mixolydian", 2, "major", [66, 71]), ("D phrygian", -2, "minor", [65, 70]),
        ("Glyd", 2, "major", [66, 71]), ("Eloc", -1, "minor", [65, 70]), ("Am clef=bass", 0, "minor", [65, 71]),
        ("none", 0, "major", [65, 71]), ("HP", 2, "major", [66, 71]), ("D =f _b", 2, "major", [65, 70]),
        ("D exp _b", -1, "major", [65, 70]), ("G#", -4, "major", [66, 71]),
    ],
)  # fmt: skip
def test_keys_and_modes(key: str, fifths: int, mode: str, f_b: list[int]) -> None:
    score, _ = read("F4 B4|", key)
    assert score.key_signatures == (KeySignature(0, fifths, mode),)
    assert pitches(score) == (f_b if key != "G#" else [67, 72])


def test_keys_and_metres_change_in_lines_of_their_own_and_between_notes() -> None:
    for music in ("F8|\nK:G\nF8|\nM:3/4\nF6|F6|", "F8|[K:G]F8|[M:3/4]F6|F6|"):
        score, _ = read(music)
        assert pitches(score) == [65, 66, 66, 66]
        assert score.key_signatures == (KeySignature(0, 0, "major"), KeySignature(1920, 1, "major"))
        assert bar_starts(score).tolist() == [0, 1920, 3840, 5280, 6720]


def test_pickups_and_bars_split_by_repeat_signs_are_bars() -> None:
    score, _ = read("A2|A8|A6:|:A2|A8|A6|]")
    assert bar_starts(score).tolist()[:6] == [0, 480, 2400, 3840, 4320, 6240]
    assert [(m.time, m.numerator, m.denominator) for m in score.time_signatures] == [
        (0, 1, 4), (480, 4, 4), (2400, 3, 4), (3840, 1, 4), (4320, 4, 4),
    ]  # fmt: skip
    assert score.end == 4320 + 1920 + 1440


@pytest.mark.parametrize(
    ("text", "qpm"),
    [("1/4=100", 100), ("3/8=60", 90), ('"Fast" 1/2=60', 120), ("90", 90), ("1/4 1/8=40", 60), ("1/4=92.5", 92.5)],
)
def test_tempi(text: str, qpm: float) -> None:
    score, said = read("A8", head=f"X:1\nQ:{text}\nK:C\n")
    assert score.tempos == (Tempo(0, round(60e6 / qpm)),) and said == []


def test_words_of_a_tempo_are_none() -> None:
    score, said = read("A8", head="X:1\nQ:Allegro\nK:C\n")
    assert (score.tempos, said) == ((), ["not kept: 1 tempo words without a number"])


def test_the_length_of_a_note_without_l_goes_by_the_metre() -> None:
    for metre, ticks in (("2/4", 120), ("3/4", 240), ("C|", 240), ("6/8", 240)):
        score, _ = read("A", head=f"X:1\nM:{metre}\nK:C\n")
        assert score.tracks[0].notes["duration"].tolist() == [ticks]


def test_chord_symbols_remarks_words_and_names() -> None:
    music = '"Dm"A2 "^slow"B2 "G7/B"c2- c2|"N.C."d8|\nw: two-words hold_ | end~it\nw: another verse\n'
    score, said = read(music, head="X:1\nT:One\nT:Two\nC:Someone\nM:4/4\nL:1/8\nK:C\nP:A\n")
    assert score.chords == (Chord(0, "Dm"), Chord(960, "G7/B"), Chord(1920, "N"))
    lyrics = [(lyric.time, lyric.text) for lyric in score.tracks[0].lyrics]
    assert lyrics == [(0, "two"), (480, "words"), (960, "hold"), (1920, "end it")]
    assert (score.title, score.texts, score.markers) == ("One", (Text(0, "composer: Someone"),), (Text(0, "A"),))
    assert said == ["not kept: 1 text expressions, 1 lines of later verses"]


def test_voices_are_tracks_however_they_are_interleaved() -> None:
    head = 'X:1\nM:4/4\nL:1/8\nV:1 name="Flute"\nV:2 clef=bass octave=-1\nK:G\n'
    for music in ("V:1\nF8|G8|\nV:2\nF8|G8|\n", "[V:1]F8|\n[V:2]F8|\n[V:1]G8|\n[V:2]G8|\n"):
        score, _ = read(music, head=head)
        assert [pitches(score, track) for track in (0, 1)] == [[66, 67], [54, 55]]
        assert [track.name for track in score.tracks] == ["Flute", ""]


# ---- repeats -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("music", "letters"),
    [
        ("C8|:D8|E8:|F8|", "CDEDEF"),
        ("C8|D8:|E8|F8:|", "CDCDEFEF"),
        ("|:C8|1 D8:|2 E8|]F8|", "CDCEF"),
        ("|:C8|[1,3 D8:|[2 E8:|[4 F8|]", "CDCECDCF"),
        ("|:C8|1 D8:|2 E8||:F8|G8:|", "CDCEFGFG"),
        ("C8::D8:|", "CCDD"),
    ],
)
def test_repeats_are_played_out_on_request(music: str, letters: str) -> None:
    score, said = read(music, repeats=True)
    assert pitches(score) == [{"C": 60, "D": 62, "E": 64, "F": 65, "G": 67}[letter] for letter in letters]
    assert score.tracks[0].notes["start"].tolist() == [1920 * bar for bar in range(len(letters))]
    assert said == []


def test_a_key_that_changes_is_restated_where_a_repeat_begins_anew() -> None:
    score, _ = read("|:F8|[K:G]F8:|[K:C]F8|", repeats=True)
    assert [(key.time, key.fifths) for key in score.key_signatures] == [
        (0, 0),
        (1920, 1),
        (3840, 0),
        (5760, 1),
        (7680, 0),
    ]


# ---- files ---------------------------------------------------------------------------------------------------


def test_the_first_of_several_tunes_is_read_and_fields_before_all_count() -> None:
    text = "L:1/4\n\nX:7\nT:First\nM:4/4\nK:C\nA4|\n\nfree words: ABC\n\nX:8\nT:Second\nK:C\nB4|\n"
    score, said = read("", head=text)
    assert (score.title, pitches(score), score.end) == ("First", [69], 1920)
    assert said == ["2 tunes in the file, of which the first is read; cut the file to read another"]


def test_latin_1_windows_lines_and_comments_are_read() -> None:
    data = "X:1\r\nT:Flöte\r\nK:C % key\r\nA2 % B2\r\n%%MIDI program 73\r\n".encode("latin-1")
    score = from_abc(data, pytest.fail, ReadOptions())
    assert (score.title, pitches(score), score.tracks[0].program) == ("Flöte", [69], 73)


@pytest.mark.parametrize(
    ("text", "limits", "said"),
    [
        ("", Limits(), "no tune in it"),
        ("X:1\nT:words only\n", Limits(), "no tune in it"),
        ("\0", Limits(), "not a text file"),
        ("X:1\nK:C\n" + "A" * 30, Limits(bytes=20), "too much: 38 bytes"),
        ("X:1\nK:C\n" + "A" * 30, Limits(events=20), "too much: 21 events"),
        ("X:1\nK:C\n" + "A" * 30, Limits(notes=20), "too much: 30 notes"),
        ("X:1\nK:C\n" + "Z9999|" * 9, Limits(), "too much: .* bars"),
        ("X:1\nL:1/4\nK:C\n" + "A9999|" * 9, Limits(bars=10**6), "too much: .* seconds"),
        ("X:1\nL:9999/1\nK:C\n" + "A9999|" * 99, Limits(), "no file can count so many ticks"),
        ("X:1\nK:C\n" + "".join(f"V:{i}\nA\n" for i in range(20)), Limits(tracks=9), "too much: 10 tracks"),
        ("X:1\nK:C\n|:A8" + "|1-16 A8:|" * 20, Limits(bars=20), "too much: .* bars"),
    ],
)
def test_what_is_no_tune_or_too_much_is_refused_in_one_line(text: str, limits: Limits, said: str) -> None:
    with pytest.raises(FileFormatError, match=said) as error:
        from_abc(text.encode(), lambda _: None, ReadOptions(limits=limits, repeats=True))
    assert "\n" not in str(error.value)


@given(st.text("ABcz[]|:(){}<>-\"!+123456789/,'^_=&V:K M%w\n\\~", max_size=60), st.booleans())
def test_any_text_gives_a_score_or_a_file_format_error(text: str, repeats: bool) -> None:
    try:
        score, _ = read(text, repeats=repeats)
    except FileFormatError:
        return
    assert score.end >= score.notes_end
