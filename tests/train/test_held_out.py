"""Models measured on music that they have not seen: what is gathered, what is named, and the figures by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from musegen import checkpoint
from musegen.corpus.build import BuildConfig, build
from musegen.corpus.shards import load_split
from musegen.errors import FileFormatError, MusegenError, RequestError
from musegen.evaluate.likelihood import evaluate, windows
from musegen.evaluate.markov import MarkovModel
from musegen.models import Model, preset
from musegen.score import timing
from musegen.score.formats import write
from musegen.score.model import Score
from musegen.tokens import Remi
from musegen.train.config import TrainConfig
from musegen.train.held_out import DISCOUNTS, gather, markov, measured, network
from musegen.train.state import STATE_FILE, averaged, load_state, start
from musegen.train.trainer import train
from tests.tiny_corpus import tune, write_folder

STYLES = {Remi.vocabulary.id("Style", i) for i in range(3)}


@pytest.fixture(scope="module")
def folk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a manifest."""
    return write_folder(
        tmp_path_factory.mktemp("data") / "folk",
        [
            ("train", tune(1), "train", ""),
            ("valid", tune(2), "valid", ""),
            ("test-a", tune(3, bars=6), "test", ""),
            ("test-b", tune(4, bars=9), "test", "pickup"),
            ("test-again", tune(3, bars=6), "test", "duplicate"),
            ("silent", Score(480, end=4000), "test", ""),
        ],
    )


@pytest.fixture(scope="module")
def run_folder(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training run of three steps."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    config = TrainConfig(budget_steps=3, batch_tokens=128, context=64, lr=1e-2, ema_half_life=0.5)
    run = start(preset("tiny", Remi.vocabulary.size, Remi.attribute_sizes), config)
    train(run, load_split(shards, "train"), load_split(shards, "valid"), folder, report=lambda _: None)
    return folder


def test_a_folder_with_a_manifest_gives_one_split_of_it(folk: Path) -> None:
    found = gather([folk])
    assert [piece.n_notes for piece in found.pieces] == [tune(3, bars=6).n_notes, tune(4, bars=9).n_notes]
    assert {piece.source for piece in found.pieces} == {"folk"}
    assert dict(found.skipped) == {str(folk / "midi" / "silent.mid"): "holds no notes"}
    [valid] = gather([folk], "valid").pieces
    assert valid.n_notes == tune(2).n_notes


def test_pieces_are_encoded_as_the_corpus_encodes_them(folk: Path, tmp_path: Path) -> None:
    build([folk], tmp_path / "shards", (), BuildConfig(workers=1))
    for ours, built in zip(gather([folk]).pieces, load_split(tmp_path / "shards", "test"), strict=True):
        assert np.array_equal(ours.ids, built.ids)
        assert np.array_equal(ours.attributes, built.attributes)
        assert np.array_equal(ours.bars, built.bars)
        assert ours.seconds == pytest.approx(built.seconds)


def test_any_other_folder_gives_all_its_pieces_without_a_style(tmp_path: Path) -> None:
    pieces = [tune(5, bars=4), tune(6, bars=5, voices=2)]
    for number, score in enumerate(pieces):
        write(score, tmp_path / "songs" / f"sub{number}" / "a.mid")
    (tmp_path / "songs" / "readme.txt").write_text("no music")
    (tmp_path / "songs" / "broken.mid").write_bytes(b"no music")
    found = gather([tmp_path / "songs"])
    assert [piece.n_notes for piece in found.pieces] == [score.n_notes for score in pieces]
    assert [piece.source for piece in found.pieces] == ["songs", "songs"]
    assert [piece.seconds for piece in found.pieces] == pytest.approx([timing.seconds(score) for score in pieces])
    assert not STYLES & {int(i) for piece in found.pieces for i in piece.ids}
    [(file, reason)] = found.skipped.items()
    assert file == str(tmp_path / "songs" / "broken.mid") and file not in reason and reason


def test_a_file_goes_by_its_folders_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tune(5, bars=4), tmp_path / "here" / "a.mid")
    monkeypatch.chdir(tmp_path / "here")
    for path in (Path("a.mid"), tmp_path / "here" / "a.mid", Path()):
        assert [piece.source for piece in gather([path]).pieces] == ["here"]


def test_levelled_pieces_have_no_dynamics(tmp_path: Path, shards: Path) -> None:
    score = tune(5, bars=4)
    notes = score.tracks[0].notes.copy()
    notes["velocity"][::2] = 30
    write(score.with_tracks([replace(score.tracks[0], notes=notes)]), tmp_path / "a.mid")
    loudness = range(Remi.vocabulary.blocks["Velocity"].start, Remi.vocabulary.blocks["Velocity"].stop)
    for level in (False, True):
        [piece] = gather([tmp_path / "a.mid"], level=level).pieces
        assert piece.n_notes == score.n_notes
        assert bool(set(loudness) & set(piece.ids.tolist())) is not level
    with pytest.raises(RequestError, match="--level does nothing"):
        gather([shards], level=True)


def test_shards_give_one_split(shards: Path) -> None:
    found = gather([shards], "valid")
    assert [piece.source for piece in found.pieces] == ["folk", "bach_m21"]
    assert found.skipped == {}
    assert len(gather([shards, shards], "valid").pieces) == 2


def test_many_files_are_read_by_several_processes_in_order(tmp_path: Path) -> None:
    for number in range(33):  # one more than a process takes at once
        write(tune(number, bars=2 + number % 3), tmp_path / "songs" / f"{number:02}.mid")
    (tmp_path / "songs" / "07.mid").write_bytes(b"")
    one, two = (gather([tmp_path / "songs"], workers=workers) for workers in (1, 2))
    assert len(one.pieces) == 32 and one.skipped == two.skipped and len(one.skipped) == 1
    assert all(np.array_equal(a.ids, b.ids) for a, b in zip(one.pieces, two.pieces, strict=True))


def test_nothing_to_measure_on_is_an_error_that_says_why(folk: Path, tmp_path: Path) -> None:
    write(Score(480, end=4000), tmp_path / "songs" / "silent.mid")
    with pytest.raises(RequestError, match=r"of 1 files none can be used.*silent\.mid: holds no notes"):
        gather([tmp_path / "songs"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(RequestError, match="holds no music file"):
        gather([tmp_path / "empty"])
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "manifest.csv").write_text("path,title\n")
    with pytest.raises(FileFormatError, match="no column licence, split"):
        gather([tmp_path / "other"])


def test_a_split_without_pieces_is_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "folk", [("a", tune(1), "train", "")])
    with pytest.raises(RequestError, match="no piece of split valid"):
        gather([folder], "valid")
    build([folder], tmp_path / "shards", (), BuildConfig(workers=1))
    with pytest.raises(RequestError, match="no piece of split test"):
        gather([tmp_path / "shards"])


def nats_by_hand(model: Model, context: int, ids: np.ndarray, attributes: np.ndarray, bars: np.ndarray) -> float:
    """The loss of each token of the windows, one forward pass for each window."""
    nats, head = 0.0, int(bars[0])
    for w in windows(bars, len(ids), context):
        rows = np.r_[0:head, w.start : w.stop]
        read = torch.tensor(ids[rows].astype(np.int64))[None]
        with torch.no_grad():
            logits = model(read, torch.tensor(attributes[rows].astype(np.int64))[None])[0].double()
        log_p = torch.log_softmax(logits, -1)
        first = len(rows) - (w.stop - w.charged)
        nats -= float(sum(log_p[t - 1, read[0, t]] for t in range(first, len(rows))))
    return nats


def test_a_network_is_charged_what_its_windows_cost_by_hand(folk: Path) -> None:
    model = checkpoint.load("tiny-random")[0]
    pieces = gather([folk]).pieces
    [(label, by_source)] = measured(pieces, ["tiny-random"], context=64).items()
    assert label == f"tiny-random (transformer, {model.n_parameters / 1e6:.1f} M)"
    figures = by_source["folk"]
    assert by_source == {"folk": figures, "all": figures}
    assert max(len(windows(p.bars, len(p.ids), 64)) for p in pieces) > 1
    nats = sum(nats_by_hand(model, 64, p.ids, p.attributes, p.bars) for p in pieces)
    seconds = sum(timing.seconds(score) for score in (tune(3, bars=6), tune(4, bars=9)))
    assert figures.nats == pytest.approx(nats, rel=1e-5)
    assert figures.tokens == sum(len(p.ids) - int(p.bars[0]) for p in pieces)
    assert figures.nats_per_note == pytest.approx(nats / sum(p.n_notes for p in pieces), rel=1e-5)
    assert figures.bits_per_second == pytest.approx(nats / math.log(2) / seconds, rel=1e-5)


def test_a_file_of_weights_is_measured_beside_a_name(folk: Path, tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "mine.safetensors", *checkpoint.load("tiny-random"))
    named, saved = measured(gather([folk]).pieces, ["tiny-random", str(tmp_path / "mine.safetensors")]).items()
    assert saved[0].startswith("mine.safetensors (transformer, ")
    assert saved[1]["all"].nats == pytest.approx(named[1]["all"].nats, rel=1e-3)  # weights are stored in 16 bits
    assert saved[1]["all"].tokens == named[1]["all"].tokens


def test_models_of_one_name_are_told_apart_by_their_paths(folk: Path, tmp_path: Path) -> None:
    paths = [str(tmp_path / folder / "mine.safetensors") for folder in ("a", "b")]
    for path in paths:
        checkpoint.save(Path(path), *checkpoint.load("tiny-random"))
    results = measured(gather([folk]).pieces, [*paths, paths[0], "tiny-random"])
    assert [label.partition(" (")[0] for label in results] == [*paths, "tiny-random"]


def test_a_run_is_measured_with_its_averaged_weights(run_folder: Path) -> None:
    model = network(str(run_folder))
    run = load_state(run_folder)
    pairs = list(zip(model.parameters(), averaged(run).parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not all(torch.equal(a, b) for a, b in zip(model.parameters(), run.model.parameters(), strict=True))
    assert not model.training and (run_folder / STATE_FILE).is_file()


def test_an_unknown_model_is_an_error_that_lists_the_names() -> None:
    with pytest.raises(MusegenError, match="transformer"):
        network("nonsense")


def test_a_markov_model_is_counted_on_train_and_its_discount_chosen_on_valid(shards: Path) -> None:
    pieces = gather([shards]).pieces
    results = measured(pieces, (), markov_of=shards, order=2, context=256)
    [(label, by_source)] = results.items()
    model = markov(shards, 2, 256)
    assert label == f"Markov, order 2 (discount {model.discount:g})" and model.discount in DISCOUNTS
    ids = pieces[0].ids.tolist()
    assert pieces[0].source == "folk" and len(ids) <= 256  # one window
    losses = [-math.log(model.distribution(ids[:t])[ids[t]]) for t in range(int(pieces[0].bars[0]), len(ids))]
    assert by_source["folk"].nats == pytest.approx(sum(losses))
    everywhere = [markov_nats(model, shards, discount) for discount in DISCOUNTS]
    assert DISCOUNTS[int(np.argmin(everywhere))] == model.discount


def markov_nats(model: MarkovModel, shards: Path, discount: float) -> float:
    """What valid costs under this discount; the model keeps its own."""
    before, model.discount = model.discount, discount
    nats = evaluate(model, gather([shards], "valid").pieces, 256)["all"].nats
    model.discount = before
    return nats
