"""What is made of every odd file of the catalogue."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from musegen.errors import FileFormatError
from musegen.score import timing
from musegen.score.formats import midi, read
from musegen.score.model import Score
from tests.score.formats.odd_bytes import ACCEPT, ERROR, EXPECTATIONS, OddFile
from tests.score.formats.odd_files import FILES
from tests.strategies import UNLIMITED


def read_odd(file: OddFile, folder: Path) -> tuple[Score | None, list[str]]:
    """The Score, None if the file was refused, and what was said."""
    path = folder / f"odd{file.suffix}"
    path.write_bytes(file.data)
    said: list[str] = []
    try:
        return read(path, warn=said.append), said
    except FileFormatError as error:
        return None, [str(error)]


def words(score: Score) -> Iterator[str]:
    """Every title, name and text."""
    yield score.title
    yield from (text.text for text in (*score.texts, *score.markers))
    for track in score.tracks:
        yield track.name
        yield from (text.text for text in (*track.texts, *track.lyrics))


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.kind}: {file.name}")
def test_each_odd_file_is_read_or_refused_as_it_should_be(file: OddFile, tmp_path: Path) -> None:
    score, said = read_odd(file, tmp_path)
    assert all("\n" not in line for line in said)
    if score is None:
        assert file.fault(None, 0, []) == "" and said != []
        return
    assert file.fault(score.n_notes, timing.seconds(score), said) == "", said
    pitches = sorted(pitch for track in score.tracks for pitch in track.notes["pitch"].tolist())
    assert file.pitches in {None, tuple(pitches)}
    assert file.end in {None, score.notes_end}
    assert file.n_tracks in {None, sum(len(track.notes) > 0 for track in score.tracks)}
    assert file.text is None or file.text in words(score)


@pytest.mark.parametrize(
    "file", [f for f in FILES if f.expected != ERROR], ids=lambda file: f"{file.kind}: {file.name}"
)
def test_what_was_read_is_written_and_read_alike(file: OddFile, tmp_path: Path) -> None:
    score, _ = read_odd(file, tmp_path)
    if score is not None:
        assert midi.from_bytes(midi.to_bytes(score), pytest.fail, UNLIMITED) == score


def test_the_catalogue_has_files_of_every_expectation_and_no_two_of_one_name() -> None:
    assert set(Counter(file.expected for file in FILES)) == set(EXPECTATIONS)
    assert len({(file.kind, file.name) for file in FILES}) == len(FILES) >= 110
    assert all(file.n_notes is not None for file in FILES if file.expected == ACCEPT)


TOLD = {"RIFF", "alien chunk", "format 2"}
"""Kinds of sound files that hold more than a Score, or otherwise, so that a word is due."""


@pytest.mark.parametrize(
    "file",
    [file for file in FILES if file.expected == ACCEPT and file.kind not in TOLD],
    ids=lambda file: f"{file.kind}: {file.name}",
)
def test_sound_files_are_read_without_a_word(file: OddFile, tmp_path: Path) -> None:
    assert read_odd(file, tmp_path)[1] == []


SAMPLE = (
    "truncated header: only MThd", "another kind of file: zip", "division of 0: format 1", "empty: no bytes",
    "ages long: two notes 2**28 - 1 ticks apart", "many tracks: 30,000 of nothing", "stuck notes: 10 on, 0 off",
    "text: escape codes", "F1 to FE in a track: F2 with its data", "wrong chunk size: last, FFFFFFFF",
    "RIFF: names before", "format 0: 16 channels",
)  # fmt: skip


def test_the_command_ends_with_0_or_in_one_line_with_2(tmp_path: Path) -> None:
    chosen = [file for file in FILES if f"{file.kind}: {file.name}" in SAMPLE]
    assert len(chosen) == len(SAMPLE)
    for file in chosen:
        path = tmp_path / f"odd{file.suffix}"
        path.write_bytes(file.data)
        done = subprocess.run([sys.executable, "-m", "musegen", "info", str(path)], capture_output=True, check=False)
        assert "Traceback" not in done.stderr.decode()
        assert not any(byte < 32 and byte != 10 for byte in done.stdout + done.stderr)
        if done.returncode:
            assert done.returncode == 2 and file.fault(None, 0, []) == ""
            assert done.stdout == b"" and done.stderr.startswith(b"musegen: ") and done.stderr.count(b"\n") == 1
        else:
            assert file.expected != ERROR
            assert file.n_notes is None or f"notes: {file.n_notes}\n" in done.stdout.decode()
