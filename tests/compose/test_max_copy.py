"""What copies more than it may is drawn again, the same way every time."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from musegen import checkpoint
from musegen.compose import Composer, Piece, Progress, Request, load
from musegen.compose.batch import Job, read_manifest, run_batch
from musegen.compose.copying import ATTEMPTS, check_attempts, seed_of
from musegen.decoding.filters import SamplingOptions
from musegen.errors import ModelError, RequestError
from musegen.evaluate.originality import Passage, longest_passage
from musegen.evaluate.originality_index import Index, Work, build, save
from musegen.evaluate.originality_index import load as load_index
from musegen.score.formats import to_bytes
from musegen.score.model import Score, Track
from tests.tiny_corpus import tune

WISH = Request(bars=4, style="folk", meter=(4, 4), max_copy=12)
SEEDS = range(5)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in a file of their own."""
    path = tmp_path_factory.mktemp("model") / "mine.safetensors"
    network, card = checkpoint.load("tiny-random")
    checkpoint.save(path, network, card)
    return path


def trained_on(model: Path, pieces: Sequence[Score]) -> Index:
    """Put an index of these works beside the model."""
    path = model.with_name("mine.originality.npz")
    save(build((Work(f"{i}", f"Work {i}", "made"), piece) for i, piece in enumerate(pieces)), path)
    return load_index(path)


def free(composer: Composer, seeds: Sequence[int], wish: Request = WISH) -> list[Score]:
    return composer.compose([replace(wish, seed=seed, max_copy=None) for seed in seeds])


def finished(composer: Composer, requests: Sequence[Request]) -> dict[int, Piece]:
    return {event.index: event for event in composer.stream(requests) if isinstance(event, Piece)}


def test_what_copies_is_drawn_again_and_the_rest_is_left(model: Path) -> None:
    composer = load(model)
    plain = free(composer, SEEDS)
    index = trained_on(model, [plain[1], plain[3]])
    pieces = finished(composer, [replace(WISH, seed=seed) for seed in SEEDS])
    assert sorted(pieces) == [*SEEDS]
    assert [pieces[i].redraws > 0 for i in SEEDS] == [False, True, False, True, False]
    for i in SEEDS:
        same = [track.notes.tolist() for track in pieces[i].score.tracks] == [t.notes.tolist() for t in plain[i].tracks]
        assert same == (pieces[i].redraws == 0)
        assert longest_passage(index, pieces[i].score).notes <= 12
        said = json.loads(pieces[i].score.texts[-1].text.removeprefix("musegen "))
        assert (said["seed"], said["max_copy"], said["redraws"]) == (i, 12, pieces[i].redraws)


def test_a_redrawn_piece_does_not_depend_on_what_is_drawn_beside_it(model: Path) -> None:
    composer = load(model)
    trained_on(model, free(composer, [1, 3]))
    together = finished(composer, [replace(WISH, seed=seed) for seed in SEEDS])
    alone = finished(load(model), [replace(WISH, seed=3)])[0]
    mixed = finished(composer, [replace(WISH, seed=9, max_copy=None), replace(WISH, seed=3)])[1]
    assert to_bytes(together[3].score) == to_bytes(alone.score) == to_bytes(mixed.score)
    assert together[3].redraws == alone.redraws == mixed.redraws == 1


def test_progress_tells_of_drafts(model: Path) -> None:
    composer = load(model)
    trained_on(model, free(composer, [1]))
    told = [(e.redraw, e.bars_done) for e in composer.stream([replace(WISH, seed=1)]) if isinstance(e, Progress)]
    assert told == [(redraw, bar) for redraw in (0, 1) for bar in range(4)]


def test_after_eight_drafts_it_is_given_up_with_the_work_named(model: Path) -> None:
    composer = load(model)
    drafts = free(composer, [seed_of(1, attempt) for attempt in range(ATTEMPTS)])
    trained_on(model, drafts[:-1])
    assert finished(composer, [replace(WISH, seed=1)])[0].redraws == ATTEMPTS - 1
    trained_on(model, drafts)
    with pytest.raises(RequestError, match=r'seed 1: 8 drafts .* more than 12 notes .* "Work 7" \(made\); allow more'):
        composer.compose([replace(WISH, seed=1)])


@pytest.mark.parametrize("sampling", [SamplingOptions(search="greedy"), SamplingOptions(temperature=0)])
def test_what_is_not_drawn_cannot_be_drawn_again(sampling: SamplingOptions) -> None:
    found = Passage(notes=20, work=Work("a", "A", "made"))
    check_attempts(WISH, 0, found)
    with pytest.raises(RequestError, match=r'the likeliest piece shares more than 12 notes .* 20 with "A" .* sampled'):
        check_attempts(replace(WISH, sampling=sampling), 0, found)


def test_the_notes_of_a_motif_do_not_count(model: Path) -> None:
    work = tune(5, bars=4)
    trained_on(model, [work])
    wish = replace(WISH, motif=Score(480, (Track(work.tracks[0].notes[:20]),)), bars=5, max_copy=8, seed=2)
    piece = finished(load(model), [wish])[0]
    assert piece.redraws == 0
    assert piece.score.tracks[0].notes["pitch"][:20].tolist() == work.tracks[0].notes["pitch"][:20].tolist()
    assert longest_passage(load_index(model.with_name("mine.originality.npz")), piece.score).notes >= 20


def test_the_index_is_read_only_when_it_is_asked(model: Path) -> None:
    model.with_name("mine.originality.npz").write_bytes(b"damaged")
    assert len(free(load(model), [1])) == 1
    with pytest.raises(ModelError, match=r"mine\.originality\.npz: damaged"):
        load(model).compose([replace(WISH, seed=1)])


def test_wrong_wishes_are_told() -> None:
    for wrong in (7, 1001):
        with pytest.raises(RequestError, match=f"max_copy is {wrong}; it goes from 8 to 1000"):
            Request(max_copy=wrong)
    with pytest.raises(RequestError, match="max_copy is for new pieces"):
        Request(prompt=tune(1), max_copy=20)


def test_seeds_of_drafts_are_no_neighbours() -> None:
    seeds = {seed_of(seed, attempt) for seed in range(50) for attempt in range(ATTEMPTS)}
    assert len(seeds) == 50 * ATTEMPTS and max(seeds) < 2**63
    assert [seed_of(seed, 0) for seed in (0, 7)] == [0, 7]


def test_a_batch_notes_how_often_a_piece_was_drawn(model: Path, tmp_path: Path) -> None:
    composer = load(model)
    given_up = free(composer, [seed_of(2, attempt) for attempt in range(ATTEMPTS)])
    trained_on(model, [*free(composer, [1]), *given_up])
    jobs = [Job(f"song-{i}.mid", {"max_copy": 12}, i, replace(WISH, seed=i)) for i in range(4)]
    settled = {s.job.seed: s for s in run_batch(composer, jobs, tmp_path)}
    assert [settled[i].redraws for i in range(4)] == [0, 1, 0, 0]
    assert settled[2].state == "failed" and "allow more" in settled[2].error
    lines = read_manifest(tmp_path)
    assert [line.get("redraws", 0) for line in lines] == [0, 1, 0, 0]
    again = {s.job.seed: s for s in run_batch(composer, jobs, tmp_path)}
    assert again[1].kept and again[1].redraws == 1 and read_manifest(tmp_path) == lines
