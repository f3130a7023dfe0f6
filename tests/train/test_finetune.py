from __future__ import annotations

import math
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from musegen import checkpoint
from musegen.compose import Request, load
from musegen.corpus.shards import load_split
from musegen.errors import ModelError, RequestError
from musegen.evaluate.likelihood import Likelihood, evaluate
from musegen.models import preset
from musegen.score.formats import write
from musegen.score.timing import n_bars
from musegen.tokens import STYLES, VOCABULARY, Remi
from musegen.train.curve import read_log
from musegen.train.distributed import HERE
from musegen.train.excerpts import excerpts, without_style
from musegen.train.finetune import Best, FinetuneConfig, Finetuned, finetune, introduce
from musegen.train.objective import scorer
from musegen.train.session import SHARDS
from musegen.train.state import start
from tests.tiny_corpus import tune

FULL = FinetuneConfig(steps=12, lr=3e-3, context=128, batch_tokens=256, measures=3)
LORA = replace(FULL, lora_rank=4, lr=1e-2)
ROW = VOCABULARY.id("Style", STYLES.index("user-1"))


@pytest.fixture(scope="module")
def songs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of ten tunes, a file that is none, and a piece too short."""
    folder = tmp_path_factory.mktemp("music") / "songs"
    for i in range(10):
        write(tune(i, bars=8), folder / f"t{i}.mid")
    write(tune(99, bars=2), folder / "short.mid")
    (folder / "broken.mid").write_bytes(b"no MIDI")
    return folder


def fitted(songs: Path, output: Path, config: FinetuneConfig, base: str | Path = "tiny-random") -> Finetuned:
    done = finetune([songs], base, output, config, output.with_suffix(".run"), HERE)
    assert isinstance(done, Finetuned)
    return done


@pytest.mark.parametrize("config", [FULL, LORA], ids=["full", "lora"])
def test_it_lowers_what_held_out_music_costs_and_the_file_says_so(
    songs: Path, tmp_path: Path, config: FinetuneConfig
) -> None:
    output = tmp_path / "mine.safetensors"
    done = fitted(songs, output, config)
    before, after = (of["all"].nats_per_note for of in (done.before, done.after))
    assert after < before - 0.1
    model, card = checkpoint.load(output)
    assert card == checkpoint.card(output)
    held = excerpts(load_split(output.with_suffix(".run") / SHARDS, "valid"), 128)
    loaded = evaluate(scorer(model), held, 128)["all"].nats_per_note
    assert loaded == pytest.approx(after, abs=0.01), "the file holds what was measured, in half precision"
    assert card["base"] == {"model": "tiny-random", "checksum": checkpoint.checksum("tiny-random")}
    assert card["default_style"] == "user-1" == card["styles"][0]
    assert card["default_instruments"] == [73]
    assert card["skipped"] == {"songs: shorter than 4 bars": 1, "songs: unreadable": 1}
    assert card["pieces"]["learned_from"] + card["pieces"]["held_out"] == 10
    assert card["nats_per_note"]["after"]["all"] == round(after, 4)
    assert card["steps"] == 12 and 0 < card["best_step"] <= 12
    text = output.with_suffix(".md").read_text(encoding="utf-8")
    assert f"| before | {before:.3f} | {before:.3f} |" in text
    assert "- songs: unreadable: 1" in text


def test_adapters_are_small_and_leave_the_rest_as_it_was(songs: Path, tmp_path: Path) -> None:
    base = tmp_path / "base.safetensors"
    network, _ = checkpoint.load("tiny-random")
    checkpoint.save(base, network, {"styles": ["folk", "hymn"]})
    output = tmp_path / "out" / "small.safetensors"
    done = fitted(songs, output, LORA, base)
    assert output.stat().st_size < base.stat().st_size / 4
    old, new = checkpoint.load(base)[0], checkpoint.load(output)[0]
    for name, parameter in new.named_parameters():
        same = torch.equal(parameter, old.get_parameter(name))
        assert (
            same == (not name.startswith("blocks.") or "norm" in name or name.endswith("bias")) or "embedding" in name
        )
    changed = (new.embedding.weight != old.embedding.weight).any(dim=1).nonzero().flatten().tolist()
    assert changed == [ROW]
    assert done.card["styles"] == ["user-1", "folk", "hymn"]


def test_adapters_ask_for_the_base_they_were_made_from(songs: Path, tmp_path: Path) -> None:
    network, _ = checkpoint.load("tiny-random")
    base, output = tmp_path / "base.safetensors", tmp_path / "small.safetensors"
    checkpoint.save(base, network, {})
    fitted(songs, output, LORA, base)
    moved = tmp_path / "moved"
    moved.mkdir()
    for path in (base, output):
        path.rename(moved / path.name)
    checkpoint.load(moved / output.name)
    checkpoint.save(moved / base.name, start(network.config, FULL.train_config(128)).model, {"other": True})
    with pytest.raises(ModelError, match=r"but its checksum is \w{12}; get the model"):
        checkpoint.load(moved / output.name)
    (moved / base.name).unlink()
    with pytest.raises(ModelError, match="which is not there"):
        checkpoint.load(moved / output.name)


def test_a_fitted_model_can_be_fitted_again(songs: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    fitted(songs, first, LORA)
    done = fitted(songs, second, replace(LORA, style="user-2"), first)
    checkpoint.load(second)
    assert done.card["styles"] == ["user-2", "user-1"]


def test_a_fitted_model_composes_in_its_own_style_for_its_own_instruments(songs: Path, tmp_path: Path) -> None:
    output = tmp_path / "mine.safetensors"
    fitted(songs, output, FULL)
    composer = load(output)
    asked = Request(bars=1, meter=(2, 4), seed=3)
    plain, said, piano = composer.compose(
        [asked, replace(asked, style="user-1"), replace(asked, instruments=((0, False),))]
    )
    assert plain == said
    assert [track.program for track in plain.tracks] == [73]
    assert [track.program for track in piano.tracks] == [0]
    (written,) = composer.compose([Request(bars=1, prompt=plain, seed=4)])
    assert n_bars(written) == 2


def test_the_best_measure_is_kept_not_the_last(songs: Path, tmp_path: Path) -> None:
    harmful = replace(FULL, steps=24, lr=3.0, measures=12)
    done = fitted(songs, tmp_path / "x.safetensors", harmful)
    assert done.card["best_step"] < 24
    assert math.isfinite(done.after["all"].nats_per_note)


def test_a_measure_that_is_no_number_is_not_the_best(tmp_path: Path) -> None:
    config = FULL.train_config(128)
    run, best = start(preset("tiny", Remi.vocabulary.size, Remi.attribute_sizes), config), Best(tmp_path)
    for run.step, nats in enumerate((3.0, 2.0, math.nan, 2.0)):
        best.look(run, {"all": Likelihood(nats, 5, 4, 1, 2.0)})
    assert best.step == Best.of(tmp_path).step == 1


def test_it_stops_early_once_measures_get_no_better_stopped_or_not(songs: Path, tmp_path: Path) -> None:
    harmful = replace(FULL, steps=24, lr=3.0, measures=12)
    whole = fitted(songs, tmp_path / "whole.safetensors", harmful)
    best, end = whole.card["best_step"], whole.card["steps"]
    assert whole.card["stopped_early"] and end == best + 3 * 2 < 24
    assert "; stopped early" in (tmp_path / "whole.md").read_text(encoding="utf-8")
    stubborn = fitted(songs, tmp_path / "stubborn.safetensors", replace(harmful, patience=0))
    assert stubborn.card["steps"] == 24 and not stubborn.card["stopped_early"]

    def call(at: int, act: Callable[[], object]) -> Finetuned | int:
        """Fine-tune, and act once the measure of a step is told."""
        lines = []

        def report(line: str) -> None:
            lines.append(line)
            if line.startswith(f"step {at} "):
                act()

        done = finetune([songs], "tiny-random", output, harmful, output.with_suffix(".run"), HERE, report=report)
        said = f"stopped early, at step {end} after "
        assert isinstance(done, int) or [line.startswith(said) for line in lines] == [*[False] * (len(lines) - 1), True]
        return done

    output = tmp_path / "broken.safetensors"
    assert call(best + 2, lambda: signal.raise_signal(signal.SIGTERM)) == signal.SIGTERM  # one was no better
    with pytest.raises(KeyboardInterrupt):
        call(best + 4, _killed)  # two were, and of the second the state does not know
    measures = []
    for _ in range(2):  # the second finds nothing to do
        done = call(0, _killed)
        assert isinstance(done, Finetuned) and (done.card["best_step"], done.card["steps"]) == (best, end)
        assert done.after == whole.after
        measures.append([(row["step"], row["valid_nats_per_note"]) for row in read_log(output.with_suffix(".run"))])
    assert measures == [[(r["step"], r["valid_nats_per_note"]) for r in read_log(tmp_path / "whole.run")]] * 2


def _killed() -> None:
    raise KeyboardInterrupt


def test_the_style_begins_as_the_mean_of_those_known() -> None:
    network, _ = checkpoint.load("tiny-random")
    known = [VOCABULARY.id("Style", STYLES.index(name)) for name in ("folk", "jazz")]
    expected = network.embedding.weight[known].mean(dim=0).detach().clone()
    introduce(network, "user-1", ["folk", "jazz"])
    torch.testing.assert_close(network.embedding.weight[ROW].detach(), expected)
    introduce(network, "jazz", ["folk", "jazz"])
    assert not torch.equal(network.embedding.weight[known[1]], network.embedding.weight[known[0]])


def test_one_work_at_least_is_held_out_and_two_are_needed(tmp_path: Path) -> None:
    few = tmp_path / "few"
    for i in range(2):
        write(tune(i, bars=8), few / f"t{i}.mid")
    write(tune(0, bars=8, transpose=3), few / "again.mid")
    done = fitted(few, tmp_path / "x.safetensors", FULL)
    assert done.card["pieces"]["held_out"] in (1, 2)
    (few / "t1.mid").unlink()
    run = tmp_path / "y.run"
    with pytest.raises(RequestError, match="two different works at least"):
        finetune([few], "tiny-random", tmp_path / "y.safetensors", FULL, run, HERE)
    assert not run.exists()


def test_an_empty_folder_and_adapters_of_an_lstm_are_refused(songs: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    run, output = tmp_path / "x.run", tmp_path / "x.safetensors"
    with pytest.raises(RequestError, match="holds no music file"):
        finetune([tmp_path / "empty"], "tiny-random", output, FULL, run, HERE)
    config = preset("tiny-lstm", Remi.vocabulary.size, Remi.attribute_sizes)
    lstm = tmp_path / "lstm.safetensors"
    checkpoint.save(lstm, start(config, FULL.train_config(128)).model, {})
    with pytest.raises(ModelError, match="leave --lora out"):
        finetune([songs], lstm, output, LORA, run, HERE)
    assert not run.exists() and not output.exists()
    assert fitted(songs, output, FULL, lstm).card["method"] == "all weights"


def test_another_wish_in_the_same_folder_is_refused(songs: Path, tmp_path: Path) -> None:
    output = tmp_path / "x.safetensors"
    fitted(songs, output, FULL)
    with pytest.raises(RequestError, match="holds a run with seed 0, not 1"):
        fitted(songs, output, replace(FULL, seed=1))


def test_excerpts_are_whole_bars_and_count_their_notes(shards: Path) -> None:
    held = load_split(shards, "train")
    few = excerpts(held, 128)
    assert len(few) == len(held)
    for part, piece in zip(few, held, strict=True):
        assert np.array_equal(part.ids, piece.ids[: len(part.ids)])
        assert len(part.ids) == len(piece.ids) or len(part.ids) in piece.bars
        assert part.n_notes == len(Remi().grid(piece.ids[: len(part.ids)]).notes)
        assert part.n_notes == piece.n_notes or part.seconds < piece.seconds
    assert len(excerpts(held, 4096)) == 2
    bare = without_style(held[0])
    assert len(bare.ids) == len(held[0].ids) - 1
