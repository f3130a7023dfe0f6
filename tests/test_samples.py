"""The sample pieces are what their list says they are."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from musegen.score.formats import read, write
from musegen.score.model import Score
from musegen.score.theory import parse_key, scale_pitch_classes
from musegen.score.timing import bar_starts, n_bars

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "midi_samples"


def _load_script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_samples", ROOT / "scripts" / "make_samples.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_samples"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


script = _load_script()
SAMPLES = {sample.name: sample for sample in script.read_samples(script.TEXT.read_text(encoding="utf-8"))}
CHROMATIC = {"blues_in_f": 0.7, "fur_elise": 0.9}  # share of notes in the key; elsewhere nearly all


def read_quietly(path: Path) -> Score:
    warnings: list[str] = []
    score = read(path, warn=warnings.append)
    assert warnings == []
    return score


def test_there_is_enough_to_choose_from() -> None:
    assert len(SAMPLES) >= 12
    assert {metre for sample in SAMPLES.values() for metre in sample.metres} >= {
        "2/4", "3/4", "4/4", "3/8", "6/8", "9/8", "5/4",
    }  # fmt: skip
    assert {len(sample.parts) for sample in SAMPLES.values()} >= {1, 2, 4}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_is_what_the_list_says(name: str) -> None:
    sample, score = SAMPLES[name], read_quietly(FOLDER / f"{name}.mid")
    assert score.n_notes == sample.n_notes
    assert n_bars(score) == sample.n_bars
    assert score.end == bar_starts(score)[-1]
    assert score.title == sample.title
    assert [track.name for track in score.tracks] == [part.name for part in sample.parts]
    metres = {f"{metre.numerator}/{metre.denominator}" for metre in score.time_signatures}
    assert metres == set(sample.metres)
    pitches = [int(pitch) for track in score.tracks if not track.is_drum for pitch in track.notes["pitch"]]
    scale = scale_pitch_classes(parse_key(sample.key))
    in_key = sum(pitch % 12 in scale for pitch in pitches)
    assert in_key >= CHROMATIC.get(name, 0.98) * len(pitches)


@pytest.mark.parametrize("name", SAMPLES)
def test_the_file_is_what_the_text_says(name: str, tmp_path: Path) -> None:
    write(script.build(SAMPLES[name]), tmp_path / "again.mid")
    assert read_quietly(tmp_path / "again.mid") == read_quietly(FOLDER / f"{name}.mid")


def test_the_readme_lists_every_sample_with_its_source_and_licence() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert script.table(list(SAMPLES.values())) in text
    for path in FOLDER.glob("*.mid"):
        assert path.name in text


def test_a_bar_of_the_wrong_length_is_found() -> None:
    sample = SAMPLES["amazing_grace"]
    part = replace(sample.parts[0], bars=("r:2", *sample.parts[0].bars[1:]))
    with pytest.raises(AssertionError, match="bar 1: 2 quarters, not 3"):
        script.plain_text(sample, part)
