from __future__ import annotations

import pytest

from musegen.corpus.styles import style_of
from musegen.score.model import NOTE_DTYPE, Score, Track, frozen

NOTES = frozen([(0, 60, 480, 80)], NOTE_DTYPE)


def played_by(*tracks: tuple[int, str]) -> Score:
    return Score(480, (*(Track(NOTES, program % 128, program == 128, name) for program, name in tracks), Track()))


@pytest.mark.parametrize(
    ("tracks", "tag", "style"),
    [
        ([(53, "Voice"), (0, "Piano RH"), (0, "Piano LH")], "", "song"),
        ([(0, "CANTO."), (0, "PIANO."), (0, "PIANO.")], "AGN=Song", "song"),
        ([(0, "\xa0"), (0, "\xa0"), (0, "\xa0")], " Song", "song"),
        ([(0, "Śpiew"), (2, "Fortepian"), (2, "Fortepian")], "AGN=Secular", "song"),
        ([(53, "Voice"), (24, "Guitar")], "", "song"),
        ([(0, "upper"), (0, "lower")], "inst=Harpsichord, Piano", "piano"),
        ([(6, "one"), (6, "two")], "", "piano"),
        ([(0, "1:pianoUpper"), (0, "2:tenorPiano")], "inst=Piano", "piano"),
        ([(24, ":A")], "inst=Classical Guitar", "guitar"),
        ([(19, "right"), (19, "left"), (43, "pedal")], "inst=Organ", "organ"),
        ([(75, "right"), (74, "Part 2"), (75, "left")], "inst=Organ", "organ"),
        ([(0, "[Organo]"), (19, "[Organo]")], "", "organ"),
        ([(40, ""), (40, ""), (41, ""), (42, "")], "", "quartet"),
        ([(40, "Violino 1"), (0, "Violino 2"), (41, "Viola"), (42, "Cello")], "", "quartet"),
        ([(40, ""), (40, ""), (42, "")], "", "chamber"),
        ([(40, "Violin"), (0, "Piano"), (0, "Piano")], "", "chamber"),
        ([(73, "flute"), (24, "guitar")], "inst=Flute and Guitar", "chamber"),
        ([(0, "sop"), (0, "lower")], "inst=Voice (SATB)", "choir"),
        ([(52, "Soprano"), (52, "Alto"), (52, "Tenor"), (52, "Bass")], "", "choir"),
        ([(52, ""), (52, ""), (52, ""), (52, ""), (0, ""), (0, "")], "", "choir"),
        ([(107, "Part 1")], "inst=Koto", "folk"),
        ([(program, "") for program in range(40, 52)], "", "orchestra"),
        ([(0, "one"), (0, "two")], "inst=Piano and Orchestra", "orchestra"),
        ([(128, "Drums")], "", "drums"),
    ],
)
def test_style_by_what_plays(tracks: list[tuple[int, str]], tag: str, style: str) -> None:
    assert style_of(played_by(*tracks), [tag.strip()]) == style
