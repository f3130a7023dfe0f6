"""Files by name: suffixes, errors, atomic writing."""

import os
import stat
from pathlib import Path

import pytest

from musegen.errors import FileFormatError, MusegenWarning
from musegen.score.formats import WRITABLE, WriteOptions, from_bytes, read, smf, to_bytes, write, write_bytes
from musegen.score.model import NOTE_DTYPE, Score, Track, frozen

SONG = Score(480, (Track(frozen([(0, 60, 480, 64)], NOTE_DTYPE), channel=0, name="Song"),), title="Song")


@pytest.mark.parametrize("name", ["a.mid", "b.MIDI", "new/folders/ünï 音.mid"])
def test_a_score_goes_through_a_file(tmp_path: Path, name: str) -> None:
    write(SONG, tmp_path / name)
    assert read(tmp_path / name) == SONG
    assert read(str(tmp_path / name)) == SONG
    assert (tmp_path / name).read_bytes() == to_bytes(SONG)
    assert os.listdir((tmp_path / name).parent) == [Path(name).name]  # noqa: PTH208  # no litter beside it


@pytest.mark.parametrize("suffix", WRITABLE)
def test_bytes_without_a_name_tell_their_format(suffix: str) -> None:
    data = to_bytes(SONG, suffix)
    said: list[str] = []
    for given in (data, b"\xef\xbb\xbf" + data) if suffix in {".json", ".abc", ".xml"} else (data,):
        again = from_bytes(given, warn=said.append)
        assert again.tracks[0].notes[["start", "pitch", "duration"]].tolist() == [(0, 60, 480)]  # ABC has no velocities
        assert (len(again.tracks), again.title) == (1, "Song")
    assert said == []


def test_a_file_is_not_overwritten_unless_forced(tmp_path: Path) -> None:
    path = tmp_path / "a.mid"
    path.write_bytes(b"mine")
    with pytest.raises(FileFormatError, match=r"a\.mid: exists already; say --force"):
        write(SONG, path)
    assert path.read_bytes() == b"mine"
    write(SONG, path, force=True)
    assert read(path) == SONG


def test_an_unwritable_score_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.mid"
    write(SONG, path)
    with pytest.raises(FileFormatError, match=r"a\.mid: track 1: program 200"):
        write(Score(tracks=(Track(program=200),)), path, force=True)
    assert read(path) == SONG


def test_a_write_that_fails_half_way_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.bin"
    write_bytes(b"old", path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileFormatError, match=r"cannot be written \(No space left on device\)"):
        write_bytes(b"new", path, force=True)
    assert path.read_bytes() == b"old"
    assert [found.name for found in tmp_path.iterdir()] == ["a.bin"]


def test_a_new_file_has_the_usual_rights(tmp_path: Path) -> None:
    write_bytes(b"x", tmp_path / "ours")
    (tmp_path / "usual").write_bytes(b"x")
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("ours", "usual")]
    assert modes[0] == modes[1]


def test_a_place_where_nothing_can_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(FileFormatError, match="cannot be written"):
        write(SONG, tmp_path / "file" / "a.mid")
    (tmp_path / "folder.mid").mkdir()
    with pytest.raises(FileFormatError, match="is a folder"):
        write(SONG, tmp_path / "folder.mid", force=True)


@pytest.mark.parametrize("name", ["a.wav", "a", "mid", "a.mid.bak"])
def test_an_unknown_suffix_lists_the_known_ones(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileFormatError, match=r"unknown suffix .*; musegen reads \.mid, \.midi, \.kar, \.rmi, "):
        read(tmp_path / name)
    with pytest.raises(FileFormatError, match=r"unknown suffix .*; musegen writes \.mid, \.midi, \.kar, \.musicxml, "):
        write(SONG, tmp_path / name)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no such file"),
        (b"", "the file is empty"),
        (b"I am a text file.\n", "not a MIDI file"),
        (smf.join(0, [b""]), "0 ticks per quarter"),
        (smf.join(0x8001, [b"\0\xff\x2f\0"]), "SMPTE"),
        (b"PK\x03\x04 and so on", "zip archive; unpack it first"),
        (b"\x1f\x8b and so on", "gzip archive; unpack it first"),
        (b"<!DOCTYPE html><html></html>", "web page"),
    ],
)
def test_what_cannot_be_read_says_so_in_a_line(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "odd.mid"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(FileFormatError, match=rf"odd\.mid: .*{said}") as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.mid").mkdir()
    with pytest.raises(FileFormatError, match=r"a\.mid: is a folder"):
        read(tmp_path / "a.mid")
    with pytest.raises(FileFormatError, match="cannot be read"):
        read("a\0.mid")


def test_warnings_name_the_file_and_go_where_they_are_asked(tmp_path: Path) -> None:
    path = tmp_path / "short.mid"
    path.write_bytes(smf.join(480, [b"\0\xff\1\0"]))
    said: list[str] = []
    read(path, warn=said.append)
    assert said == [f"{path}: repaired: 1 x missing end of track"]
    with pytest.warns(MusegenWarning, match=r"short\.mid: repaired: 1 x missing end") as caught:
        read(path)
    assert caught[0].filename == __file__
    named = Score(480, (Track([(0, 60, 10, 64)], name="A"),))
    with pytest.warns(MusegenWarning, match=r"zero\.mid: format 0 has one track") as caught:
        write(named, tmp_path / "zero.mid", options=WriteOptions(midi_format=0))
    assert caught[0].filename == __file__
