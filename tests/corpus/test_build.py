from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from musegen.corpus import prepared
from musegen.corpus.build import WORK, BuildConfig, Exclusion, build
from musegen.corpus.keys import with_modes
from musegen.corpus.manifest import list_pieces, read_manifest
from musegen.corpus.shards import load_info, load_split
from musegen.corpus.sources import Source
from musegen.corpus.splits import Shares, split_of
from musegen.errors import FileFormatError, ModelError, RequestError
from musegen.score.formats import write
from musegen.score.joining import concatenate
from musegen.score.model import Score, Tempo, TimeSignature
from musegen.score.ops import transpose
from musegen.tokens import VOCABULARY, Remi
from tests.tiny_corpus import tune, write_folder

ONE = BuildConfig(workers=1)
FILES = ("train.safetensors", "valid.safetensors", "test.safetensors", "shards.json")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    root = tmp_path_factory.mktemp("data")
    folk = write_folder(
        root / "folk",
        [
            *((f"train{i}", tune(i), "train", "") for i in range(4)),
            ("again", tune(0), "train", "X=9;duplicate"),
            ("same-as-train1", tune(1), "train", ""),
            ("valid", tune(50), "valid", "pickup"),
            ("valid-in-d", tune(50, transpose=2), "train", ""),
            ("test", tune(60), "test", ""),
            ("test-in-valid", tune(60, transpose=-1), "valid", ""),
            ("short", tune(7, bars=3), "train", ""),
            ("two-voices", tune(8, voices=2), "train", ""),
            ("silent", Score(480, end=8000), "train", ""),
        ],
    )
    (folk / "midi" / "short.mid").with_name("broken.mid").write_bytes(b"no music")
    with (folk / "manifest.csv").open("a", encoding="utf-8") as stream:
        stream.write("folk/midi/broken.mid,folk,broken,none,train,\r\n")
    bach = write_folder(
        root / "bach_m21",
        [
            ("one", tune(20, voices=4), "train", ""),
            ("two", tune(21, voices=4, transpose=-3), "train", "pickup"),
            ("tune", concatenate([tune(50, voices=4), tune(22, voices=4)]), "train", ""),
        ],
    )
    jsb = write_folder(root / "jsb", [("v", tune(21, voices=4), "valid", ""), ("t", tune(20, voices=4), "train", "")])
    return folk, bach, jsb


@pytest.fixture(scope="module")
def shards(folders: tuple[Path, Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "shards"
    folk, bach, jsb = folders
    build([folk, bach], out, [Exclusion(jsb, ("valid",))], ONE)
    return out


def test_every_piece_is_kept_or_dropped_for_a_named_reason(shards: Path) -> None:
    info = load_info(shards)
    assert info["names"] == {
        "train": [*(f"folk/midi/train{i}.mid" for i in range(4)), "bach_m21/midi/one.mid", "bach_m21/midi/tune.mid"],
        "valid": ["folk/midi/valid.mid"],
        "test": ["folk/midi/test.mid"],
    }
    assert info["titles"]["train"] == [*(f"train{i}" for i in range(4)), "one", "tune"]
    assert info["dropped"] == {
        "bach_m21: in train, but the music of a held-out piece (jsb)": 1,
        "folk: in train, but the music of a held-out piece (our own)": 1,
        "folk: in valid, but the music of a held-out piece (our own)": 1,
        "folk: marked as duplicate in the manifest": 1,
        "folk: no notes": 1,
        "folk: not 1 track, which style folk asks for": 1,
        "folk: shorter than 4 bars": 1,
        "folk: the same notes as an earlier piece": 1,
        "folk: unreadable": 1,
    }
    assert info["dropped_details"] == {"folk/midi/broken.mid": "not a MIDI file (it has no MThd header)"}
    assert info["leaks"]["folk/midi/valid-in-d.mid"] == ["folk/midi/valid.mid", 1.0]
    excluded = {"pieces": 1, "unreadable": 0, "met_in_train": 1, "train_pieces_dropped": 1}
    assert info["excluded"] == {"jsb:valid": excluded}
    folk = info["sources"]["folk"]
    assert folk["counts"]["train"]["styles"] == {"folk": 4}
    assert folk["counts"]["train"]["notes"] == sum(tune(i).n_notes for i in range(4))
    assert folk["licences"] == {"none": 6} and "O'Neill" in folk["credit"]


def test_the_same_folders_give_the_same_bytes_with_any_number_of_workers(
    folders: tuple[Path, Path, Path], shards: Path, tmp_path: Path
) -> None:
    folk, bach, jsb = folders
    build([folk, bach], tmp_path, [Exclusion(jsb, ("valid",))], replace(ONE, workers=3))
    for name in FILES:
        assert (shards / name).read_bytes() == (tmp_path / name).read_bytes()
    assert not (tmp_path / WORK).exists()


def test_a_killed_build_goes_on_where_it_was(folders: tuple[Path, Path, Path], shards: Path, tmp_path: Path) -> None:
    folk, bach, jsb = folders

    def until_five(done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build([folk, bach], tmp_path, [Exclusion(jsb, ("valid",))], ONE, advance=until_five)
    assert (tmp_path / WORK).exists() and not (tmp_path / "shards.json").exists()
    done: list[int] = []
    exclude = [Exclusion(jsb, ("valid",))]
    build([folk, bach], tmp_path, exclude, replace(ONE, keep_work=True), advance=lambda d, total: done.append(d))
    assert done[0] == 5 and done[-1] == 18
    for name in FILES:
        assert (shards / name).read_bytes() == (tmp_path / name).read_bytes()
    with pytest.raises(RequestError, match="--force"):
        build([folk, bach], tmp_path, exclude, ONE)
    done.clear()
    build([folk, bach], tmp_path, exclude, ONE, force=True, advance=lambda d, total: done.append(d))
    assert done == [18], "all was kept, nothing is read again"


def test_what_is_kept_of_a_file_is_not_used_once_the_file_or_the_question_changes(
    folders: tuple[Path, Path, Path],
) -> None:
    row = list_pieces(folders[0])[0]
    source = Source()
    job = prepared.Job(row, source, prepared.PrepareConfig())
    assert job.key == prepared.Job(row, source, prepared.PrepareConfig()).key
    assert job.key != replace(job, config=prepared.PrepareConfig(chords=False)).key
    assert job.key != replace(job, source=Source(style="jazz")).key
    before = job.key
    row.file.touch()
    assert job.key != before


def test_shards_hold_whole_pieces_with_chords_beside_them(shards: Path) -> None:
    tokenizer = Remi()
    split = load_split(shards, "train", tokenizer.vocabulary.fingerprint)
    assert len(split) == 6 and [p.source for p in split][-1] == "bach_m21"
    for piece, score in zip(split, (tune(i) for i in range(4)), strict=False):
        decoded = tokenizer.decode(piece.ids)
        assert decoded == replace(tokenizer.quantize(with_modes(score)), tempos=decoded.tempos)
        assert piece.n_notes == score.n_notes
        assert np.array_equal(piece.bars, tokenizer.bar_offsets(piece.ids)) and len(piece.bars) == 12
        assert np.array_equal(piece.attributes, tokenizer.attributes(piece.ids))
        assert piece.chords.shape[1] == 4 and len(piece.chords) > 0 and piece.chords[:, 0].max() < 12
        names = {VOCABULARY.names[i].split("_")[0] for i in piece.ids[: piece.bars[0]]}
        assert {"Style", "Bars", "Density", "Polyphony", "LOW", "HIGH"} <= names
        assert not {VOCABULARY.type_index["Chord"], VOCABULARY.type_index["Bass"]} & set(VOCABULARY.types[piece.ids])


def test_a_work_stands_in_one_split_whatever_source_or_shape_it_comes_in(tmp_path: Path) -> None:
    def slower(score: Score) -> Score:
        return replace(score, tempos=(Tempo(0, 900_000),))

    song = tune(5, voices=3, bars=16)
    write_folder(tmp_path / "measured", [("song", song, "test", "")])
    write_folder(
        tmp_path / "mutopia",
        [
            ("higher", transpose(song, 5), "train", ""),
            ("slower", slower(song), "valid", ""),
            ("twice", concatenate([song, song]), "train", ""),
            ("within", concatenate([tune(6, voices=3), transpose(song, -2), tune(7, voices=3)]), "train", ""),
            ("other", tune(8, voices=3), "train", ""),
        ],
    )
    info = build([tmp_path / "mutopia", tmp_path / "measured"], tmp_path / "out", (), ONE)
    assert info["names"]["train"] == ["mutopia/midi/other.mid"]
    assert sorted(Path(name).stem for name in info["leaks"]) == ["higher", "slower", "twice", "within"]


def test_a_folder_without_a_manifest_is_split_by_its_notes_whatever_is_added(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    for seed in range(24):
        write(tune(seed), folder / "deep" / f"{seed}{('.mid', '.json', '.abc')[seed % 3]}")
    (folder / "notes.txt").write_text("no music", encoding="utf-8")
    first = build([folder], tmp_path / "a", (), replace(ONE, style="jazz"))
    for seed in range(24, 40):
        write(tune(seed), folder / f"new{seed}.mid")
    write(transpose(tune(3), 4), folder / "three in another key.mid")
    second = build([folder], tmp_path / "b", (), replace(ONE, style="jazz"))
    where = {name: split for split, names in second["names"].items() for name in names}
    for split, names in first["names"].items():
        assert {where.get(name, split) for name in names} <= {split}
    kept = sum(len(names) for names in first["names"].values())
    assert {"mine/deep/0.mid", "mine/deep/1.json"} <= {name for names in first["names"].values() for name in names}
    assert kept == 24 and 0 < len(first["names"]["train"]) < 24, "tunes of any format, in more than one split"
    assert second["dropped"] == {"mine: the same notes as an earlier piece": 1}
    assert second["sources"]["mine"]["licences"] == {"not stated": 40}
    assert second["sources"]["mine"]["counts"]["train"]["styles"] == {"jazz": len(second["names"]["train"])}


def test_a_folder_has_its_name_however_it_is_written(
    folders: tuple[Path, Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folk = folders[0]
    monkeypatch.chdir(folk)
    here, there = list_pieces(Path()), list_pieces(folk)
    assert [row.name for row in here] == [row.name for row in there] and here[0].name == "folk/midi/train0.mid"
    assert [row.file.resolve() for row in here] == [row.file.resolve() for row in there]


def test_drums_have_no_fingerprint_but_equal_ones_are_found(tmp_path: Path) -> None:
    beat = tune(3)
    beat = beat.with_tracks(replace(track, is_drum=True) for track in beat.tracks)
    write_folder(tmp_path / "gmd", [("a", beat, "test", ""), ("b", beat, "train", "")])
    info = build([tmp_path / "gmd"], tmp_path / "out", (), ONE)
    assert info["names"] == {"train": [], "valid": [], "test": ["gmd/midi/a.mid"]}
    assert info["sources"]["gmd"]["counts"]["test"]["styles"] == {"drums": 1}
    assert split_of(prepared.Prepared(key="x"), Shares()) == split_of(prepared.Prepared(key="x"), Shares())


def test_a_metre_outside_the_vocabulary_is_a_reason(tmp_path: Path) -> None:
    score = tune(3)
    odd = Score(480, score.tracks, score.tempos, (TimeSignature(0, 9, 4),), score.key_signatures)
    folder = write_folder(tmp_path / "folk", [("odd", odd, "train", "")])
    info = build([folder], tmp_path / "out", (), ONE)
    assert list(info["dropped"]) == ["folk: a metre that tokens cannot hold"]


def test_wrong_folders_are_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"manifest\.csv"):
        read_manifest(tmp_path)
    with pytest.raises(RequestError, match="no such folder"):
        build([tmp_path / "pop"], tmp_path / "out")
    with pytest.raises(RequestError, match="no music file"):
        build([tmp_path], tmp_path / "out")
    for name in ("a", "b"):
        write(tune(1), tmp_path / name / "same" / "x.mid")
    with pytest.raises(RequestError, match="one name"):
        build([tmp_path / "a" / "same", tmp_path / "b" / "same"], tmp_path / "out")
    (tmp_path / "manifest.csv").write_text("path,title\n", encoding="utf-8")
    with pytest.raises(FileFormatError, match="licence, split"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.csv").write_text("path,title,licence,split\na,b,c,dev\n", encoding="utf-8")
    with pytest.raises(FileFormatError, match="line 2"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.csv").write_bytes(b"path,title,licence,split\n\xff,b,c,train\n")
    with pytest.raises(FileFormatError, match="cannot be read"):
        read_manifest(tmp_path)


def test_damaged_shards_and_those_of_another_vocabulary_are_refused(shards: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="build the corpus again"):
        load_info(shards, "000000000000")
    with pytest.raises(FileFormatError, match="musegen corpus build"):
        load_info(tmp_path / "nothing")
    copy = Path(shutil.copytree(shards, tmp_path / "copy"))
    (copy / "train.safetensors").write_bytes(b"x")
    with pytest.raises(FileFormatError, match="build the corpus again"):
        load_split(copy, "train")
    info = json.loads((copy / "shards.json").read_text(encoding="utf-8"))
    (copy / "shards.json").write_text(json.dumps({**info, "version": 2}), encoding="utf-8")
    with pytest.raises(ModelError, match="version 2"):
        load_info(copy)
    (tmp_path / WORK).mkdir()
    (tmp_path / WORK / "000000.safetensors").write_bytes(b"x")
    with pytest.raises(FileFormatError, match="damaged"):
        prepared.WorkFolder(tmp_path / WORK)
