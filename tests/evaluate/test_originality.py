"""The truths that the measure must tell, and the index as a file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from musegen.errors import ModelError, RequestError
from musegen.evaluate.originality import Passage, evaluate, longest_passage, standing, validate
from musegen.evaluate.originality_index import (
    SHIPPED,
    STEPS_PER_QUARTER,
    Index,
    Work,
    beside,
    build,
    lines_of,
    load,
    save,
)
from musegen.score.formats import read
from musegen.score.joining import merge
from musegen.score.model import NOTE_DTYPE, Score, Track, frozen
from musegen.score.ops import map_times, slice_bars, transpose
from tests.tiny_corpus import TICKS, tune

SAMPLES = Path(__file__).parents[2] / "midi_samples"
CHANCE = 20
"""Notes: of real tunes played backwards none shares more (docs/originality.md)."""


@pytest.fixture(scope="module")
def index() -> Index:
    return build(
        ((Work(f"tune-{seed}", f"Tune {seed}", "made"), tune(seed, bars=16)) for seed in range(30)), {"made": True}
    )


def with_line(notes: np.ndarray, score: Score) -> Score:
    return score.with_tracks([replace(score.tracks[0], notes=frozen(notes, NOTE_DTYPE))])


def hidden(passage: Score, *, seed: int = 999) -> Score:
    """The passage between eight bars of something else on either side."""
    before, after = tune(seed, bars=8), tune(seed + 1, bars=8)
    middle, end = passage.tracks[0].notes.copy(), after.tracks[0].notes.copy()
    middle["start"] += 8 * 4 * TICKS - middle["start"][0]
    end["start"] += int(middle["start"][-1] + middle["duration"][-1])
    return with_line(np.concatenate([before.tracks[0].notes, middle, end]), before)


def stretched(score: Score, factor: int) -> Score:
    return map_times(score, lambda ticks: ticks * factor, score.ticks_per_beat)


@pytest.mark.parametrize("factor", [1, 2])
def test_a_passage_in_another_key_and_tempo_with_changed_notes_is_found(index: Index, factor: int) -> None:
    work = tune(7, bars=16)
    notes = work.tracks[0].notes[10:34].copy()
    notes["pitch"] += 5
    notes["pitch"][[8, 16]] += 1
    found = longest_passage(index, hidden(stretched(with_line(notes, work), factor)))
    assert found.work == Work("tune-7", "Tune 7", "made")
    assert (found.transposition, found.stretch, found.changes) == (5, factor, 2)
    assert found.notes == 22 or 22 < found.notes <= 24, "a neighbour may agree by chance"
    assert 8 <= found.bar <= 9 and found.last_bar >= found.bar + 2


def test_notes_put_in_and_left_out_are_changes(index: Index) -> None:
    work = tune(3, bars=16)
    notes = work.tracks[0].notes[:40].copy()
    first = int(np.flatnonzero(notes["duration"][15:] == 480)[0]) + 15  # a quarter becomes two eighths
    extra = notes[first : first + 1].copy()
    notes["duration"][first] = extra["duration"] = 240
    extra["start"] += 240
    extra["pitch"] += 1
    left_out = np.delete(notes, 8)
    left_out["duration"][7] += notes["duration"][8]
    found = longest_passage(index, with_line(np.concatenate([left_out, extra]), work))
    assert found == Passage(39, 2, Work("tune-3", "Tune 3", "made"), 0, 1, found.last_bar, 0, 1.0, 39 / 40)


def test_a_fresh_melody_is_no_copy(index: Index) -> None:
    found = [longest_passage(index, tune(seed, bars=32)).notes for seed in range(1000, 1040)]
    assert max(found) <= CHANCE
    assert min(found) < 10, "most share hardly more than a seed"


def test_the_shipped_index_does_not_know_a_fresh_melody() -> None:
    index = load()
    assert max(longest_passage(index, tune(seed, bars=32)).notes for seed in range(1000, 1010)) <= CHANCE


def test_a_known_tune_is_found_in_the_shipped_index() -> None:
    found = evaluate(load(), transpose(read(SAMPLES / "amazing_grace.mid"), 3))
    assert found.work is not None and found.work.title == "Amazing Grace"
    assert (found.notes, found.changes, found.share, found.transposition) == (35, 0, 1.0, 3)


def test_the_whole_of_a_work_is_all_its_notes(index: Index) -> None:
    work = tune(11, bars=16)
    found = longest_passage(index, work)
    assert (found.notes, found.changes, found.share) == (work.n_notes, 0, 1.0)
    assert (found.bar, found.last_bar) == (1, 16)


def test_every_line_is_compared(index: Index) -> None:
    drums = Track(tune(5, bars=16).tracks[0].notes, is_drum=True)
    assert longest_passage(index, Score(TICKS, (drums,))).notes <= CHANCE
    piece = merge([tune(500, bars=16), transpose(tune(5, bars=16), -12)])
    found = longest_passage(index, piece)
    assert found.work is not None and found.work.title == "Tune 5" and found.track == 1


def test_of_notes_that_begin_together_the_highest_is_the_line() -> None:
    notes = [(0, 60, 480, 80), (0, 67, 480, 80), (480, 62, 240, 80), (720, 50, 240, 80), (720, 55, 240, 80)]
    (line,) = lines_of(Score(480, (Track(frozen(notes, NOTE_DTYPE)), Track(is_drum=True))))
    assert line.pitches.tolist() == [67, 62, 55]
    assert line.steps.tolist() == [0, STEPS_PER_QUARTER, 3 * STEPS_PER_QUARTER // 2]


def test_what_says_nothing_is_no_passage() -> None:
    trill = frozen([(240 * i, 60 + i % 2, 240, 80) for i in range(200)], NOTE_DTYPE)
    scales = frozen([(240 * i, 60 + i % 8, 240, 80) for i in range(4000)], NOTE_DTYPE)
    index = build((Work(str(i), "", ""), Score(480, (Track(notes),))) for i, notes in enumerate([trill, scales]))
    assert longest_passage(index, Score(480, (Track(trill),))) == Passage()
    assert longest_passage(index, Score(480, (Track(scales[:100]),))) == Passage(), "it stands at too many places"


def test_notes_that_were_given_do_not_count(index: Index) -> None:
    piece = tune(7, bars=16)
    given = 8 * 4 * TICKS
    later = int((piece.tracks[0].notes["start"] >= given).sum())
    assert longest_passage(index, piece, given).notes == later
    assert longest_passage(index, piece, given).bar == 9
    assert longest_passage(index, piece, piece.end + 1) == Passage()


def test_more_than_three_changes_in_a_row_end_a_passage(index: Index) -> None:
    work = tune(9, bars=16)
    for changed, expected in ((3, work.n_notes - 3), (4, None)):
        notes = work.tracks[0].notes.copy()
        notes["pitch"][20 : 20 + changed] = [100, 30, 101, 31][:changed]
        found = longest_passage(index, with_line(notes, work))
        assert found.notes == (expected or max(20, work.n_notes - 24))


def test_a_part_of_a_work_is_found_where_it_stands(index: Index) -> None:
    work = tune(2, bars=16)
    starts = work.tracks[0].notes["start"] // (4 * TICKS)
    found = evaluate(index, slice_bars(work, 4, 12))
    assert (found.notes, found.bar, found.last_bar) == (np.count_nonzero((starts >= 4) & (starts < 12)), 1, 8)


def test_a_piece_without_a_line_says_so() -> None:
    with pytest.raises(RequestError, match="no notes"):
        validate(Score())
    with pytest.raises(RequestError, match="only drums"):
        validate(Score(480, (Track(tune(1).tracks[0].notes, is_drum=True),)))


def test_an_index_comes_back_from_its_file(index: Index, tmp_path: Path) -> None:
    with_real = replace(index, real={"made": [7, 9, 30], "other": [8]})
    save(with_real, tmp_path / "a.npz")
    save(with_real, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    again = load(tmp_path / "a.npz")
    for name in ("pitches", "times", "bounds"):
        assert np.array_equal(getattr(again.lines, name), getattr(index.lines, name)), name
    assert (again.works, dict(again.facts), again.real) == (index.works, {"made": True}, with_real.real)
    assert standing(again, 9) == (0.5, 4) and standing(again, 31, "made") == (0.0, 3)
    assert np.isnan(standing(index, 9)[0])


def test_rests_too_long_for_the_file_are_the_same_before_and_after(tmp_path: Path) -> None:
    notes = tune(1, bars=8).tracks[0].notes.copy()
    notes["start"][20:] += TICKS * 5000
    silent = (Work("silent", "", ""), Score())
    index = build([silent, (Work("a", "A", "x"), Score(TICKS, (Track(notes), Track(), Track(notes[::2]))))])
    save(index, tmp_path / "a.npz")
    assert np.array_equal(load(tmp_path / "a.npz").lines.times, index.lines.times)
    assert longest_passage(index, Score(TICKS, (Track(notes[:20]),))).notes == 20


@pytest.mark.parametrize("how", ["cut", "flipped", "text", "other", "empty", "short", "works"])
def test_a_damaged_index_is_told(index: Index, tmp_path: Path, how: str) -> None:
    path = tmp_path / "x.npz"
    save(index, path)
    data = path.read_bytes()
    if how in ("cut", "text", "empty"):
        path.write_bytes({"cut": data[: len(data) // 2], "text": b"no index", "empty": b""}[how])
    elif how == "flipped":
        middle = len(data) // 3
        path.write_bytes(data[:middle] + bytes(255 - b for b in data[middle : middle + 20]) + data[middle + 20 :])
    elif how == "other":
        np.savez(path, something=np.zeros(3))
    else:
        with np.load(path) as stored:
            arrays = dict(stored)
        arrays |= {"waits": arrays["waits"][1:]} if how == "short" else {"works": arrays["works"] + np.int32(1)}
        np.savez(path, **arrays)
    with pytest.raises(ModelError, match=r"x\.npz: damaged, or no index .*build_originality_index"):
        load(path)


def test_no_index_is_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such index"):
        load(tmp_path / "nothing.npz")


def test_nothing_in_an_index_is_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", intervals=np.array([{"a": 1}], object))
    with pytest.raises(ModelError, match="damaged"):
        load(tmp_path / "x.npz")


def test_a_model_may_have_an_index_of_its_own(tmp_path: Path) -> None:
    assert beside("transformer") == beside(tmp_path / "mine.safetensors") == SHIPPED
    (tmp_path / "mine.originality.npz").touch()
    assert beside(str(tmp_path / "mine.safetensors")) == tmp_path / "mine.originality.npz"


def test_the_shipped_index_says_what_it_covers() -> None:
    index = load()
    assert {work.source for work in index.works} - set(index.real) == {"quartets", "gmd"}  # not held out; only drums
    assert set(index.real) == {"folk", "openhymnal", "bach_m21", "lieder", "mutopia", "chopin", "polish"}
    assert index.facts["split"] == "train"
    assert sum(map(len, index.real.values())) > 200
    assert SHIPPED.stat().st_size < 2_500_000
