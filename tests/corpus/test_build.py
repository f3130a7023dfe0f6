from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from musegen.corpus.build import BuildConfig, Exclusion, build
from musegen.corpus.manifest import read_manifest
from musegen.corpus.shards import load_info, load_split
from musegen.errors import FileFormatError, ModelError, RequestError
from musegen.score.model import Score, TimeSignature
from musegen.score.ops import slice_bars
from musegen.tokens import VOCABULARY, Remi
from tests.tiny_corpus import tune, write_folder

ONE = BuildConfig(workers=1)


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
            ("short", tune(7, bars=3), "train", ""),
            ("two-voices", tune(8, voices=2), "train", ""),
            ("silent", Score(480, end=8000), "train", ""),
        ],
    )
    bach = write_folder(
        root / "bach_m21",
        [("one", tune(20, voices=4), "train", ""), ("two", tune(21, voices=4, transpose=-3), "train", "pickup")],
    )
    jsb = write_folder(root / "jsb", [("v", tune(21, voices=4), "valid", ""), ("t", tune(20, voices=4), "train", "")])
    return folk, bach, jsb


def built(folders: tuple[Path, Path, Path], out: Path) -> dict[str, dict[str, int]]:
    folk, bach, jsb = folders
    return build([folk, bach], out, [Exclusion(jsb, ("valid",))], ONE)


def test_every_piece_is_kept_or_dropped_for_a_named_reason(folders: tuple[Path, Path, Path], tmp_path: Path) -> None:
    info = built(folders, tmp_path)
    assert info["names"] == {
        "train": [f"folk/midi/train{i}.mid" for i in range(4)] + ["bach_m21/midi/one.mid"],
        "valid": ["folk/midi/valid.mid"],
        "test": ["folk/midi/test.mid"],
    }
    assert info["titles"] == {
        "train": [*(f"train{i}" for i in range(4)), "one"],
        "valid": ["valid"],
        "test": ["test"],
    }
    assert info["dropped"] == {
        "bach_m21: in train, but the music of a held-out piece (jsb)": 1,
        "folk: in train, but the music of a held-out piece (our own)": 1,
        "folk: marked as duplicate in the manifest": 1,
        "folk: no notes": 1,
        "folk: not 1 track, which style folk asks for": 1,
        "folk: shorter than 4 bars": 1,
        "folk: the same notes as an earlier piece": 1,
    }
    assert info["excluded"] == {"jsb:valid": {"pieces": 1, "met_in_train": 1, "train_pieces_dropped": 1}}


def test_the_same_folders_give_the_same_bytes_with_any_number_of_workers(
    folders: tuple[Path, Path, Path], tmp_path: Path
) -> None:
    built(folders, tmp_path / "a")
    folk, bach, jsb = folders
    build([folk, bach], tmp_path / "b", [Exclusion(jsb, ("valid",))], BuildConfig(workers=2))
    for name in ("train.safetensors", "valid.safetensors", "test.safetensors", "shards.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_shards_hold_whole_pieces_and_their_ends(folders: tuple[Path, Path, Path], tmp_path: Path) -> None:
    built(folders, tmp_path)
    tokenizer = Remi()
    split = load_split(tmp_path, "train", tokenizer.vocabulary.fingerprint)
    first = split[0]
    assert tokenizer.decode(first.ids).n_notes == first.n_notes == tune(0).n_notes
    assert np.array_equal(first.attributes, tokenizer.attributes(first.ids))
    assert np.array_equal(first.bars, tokenizer.bar_offsets(first.ids))
    titles = load_info(tmp_path)["titles"]["train"]
    assert len(titles) == len(split.whole) == 5
    for title, whole in zip(titles, split.whole.tolist(), strict=True):
        expected = tune(20, voices=4) if title == "one" else tune(int(title.removeprefix("train")))
        assert split[whole].n_notes == expected.n_notes
    tails = [split[i] for i in range(1, int(split.whole[1]))]
    assert [t.first_bar for t in tails] == [4, 8]  # 12 bars: the last eight and the last four
    for tail in tails:
        cut = slice_bars(tune(0), tail.first_bar, 12)
        assert tokenizer.decode(tail.ids) == tokenizer.quantize(cut)
        assert VOCABULARY.id("Bars", 12 - tail.first_bar - 1) in tail.ids
    assert [p.source for p in split][-1] == "bach_m21"


def test_a_metre_outside_the_vocabulary_is_a_reason(tmp_path: Path) -> None:
    score = tune(3)
    odd = Score(480, score.tracks, score.tempos, (TimeSignature(0, 9, 4),), score.key_signatures)
    folder = write_folder(tmp_path / "folk", [("odd", odd, "train", "")])
    info = build([folder], tmp_path / "out", (), ONE)
    assert [reason.split(":")[1] for reason in info["dropped"]] == [" not in the vocabulary"]


def test_wrong_folders_are_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match=r"manifest\.csv"):
        read_manifest(tmp_path)
    with pytest.raises(RequestError, match="unknown source"):
        build([tmp_path / "pop"], tmp_path / "out")
    (tmp_path / "manifest.csv").write_text("path,title\n", encoding="utf-8")
    with pytest.raises(FileFormatError, match="licence, split"):
        read_manifest(tmp_path)
    (tmp_path / "manifest.csv").write_text("path,title,licence,split\na,b,c,dev\n", encoding="utf-8")
    with pytest.raises(FileFormatError, match="line 2"):
        read_manifest(tmp_path)


def test_shards_of_another_vocabulary_are_refused(folders: tuple[Path, Path, Path], tmp_path: Path) -> None:
    built(folders, tmp_path)
    with pytest.raises(ModelError, match="build the corpus again"):
        load_info(tmp_path, "000000000000")
    with pytest.raises(FileFormatError, match="build_corpus"):
        load_info(tmp_path / "nothing")
