"""kernel.c and its reference say the same to the last bit, however a piece is read, and nearly what torch says."""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from musegen.engine import CompiledTransformer, Decoder, ReferenceTransformer, build, compiled, decoder
from musegen.engine.arithmetic import Product
from musegen.engine.compiled import LIBRARY, CompiledProduct, Library, library, variant_of
from musegen.engine.lstm import LSTM
from musegen.engine.weights import Floats, Ints, Matrix, Weights
from musegen.models import build as network
from musegen.models import preset, weights
from musegen.shapes import ModelConfig

VOCAB, SIZES, N_TOKENS = 50, (6, 4), 70
CONFIGS = {
    "multi-query": preset("tiny", VOCAB, SIZES),
    "grouped": preset("tiny", VOCAB, SIZES, n_head=4, n_kv_head=2),
    "all heads": preset("tiny", VOCAB, SIZES, n_kv_head=2),
    "no attributes": preset("tiny", VOCAB, (), musical_share=0.0),
    "musical only": preset("tiny", VOCAB, SIZES, musical_share=1.0),
    "odd sizes": preset("tiny", 97, SIZES, d_model=48, n_head=8, n_kv_head=1, d_ff=80),
    "wide": preset("tiny", VOCAB, SIZES, d_model=64, d_ff=2064),
    "rnn": preset("tiny-lstm", VOCAB, SIZES),
}


def learned(config: ModelConfig) -> Weights:
    """Random weights, large enough that differences show."""
    torch.manual_seed(1)
    return {name: 5 * w if w.ndim == 2 else w for name, w in weights(network(config)).items()}


def found() -> Library:
    here = library()
    assert here is not None, "the kernel is not compiled: install the package with a C compiler"
    return here


def inputs(config: ModelConfig, n_tokens: int = N_TOKENS, seed: int = 2) -> tuple[Ints, Ints]:
    random = np.random.default_rng(seed)
    sizes = (*config.attribute_sizes, max(2, n_tokens // 3), config.attribute_sizes[0] if config.attribute_sizes else 1)
    return random.integers(config.vocab_size, size=n_tokens), np.stack(
        [random.integers(size, size=n_tokens) for size in sizes], axis=-1
    )


def whole(model: Decoder, ids: Ints, attributes: Ints, slot: int = 0) -> Floats:
    """(T, V) the logits after every token, all read at once."""
    every = np.arange(len(ids))
    cache = model.new_cache(slot + 1, len(ids))
    return model.read(cache, ids, attributes, np.full(len(ids), slot), every, every)  # type: ignore[arg-type]


def both(config: ModelConfig) -> tuple[Decoder, Decoder]:
    """The network with the kernel, and without."""
    given = learned(config)
    if config.architecture == "rnn":
        return LSTM(config, given, found()), LSTM(config, given, None)
    return CompiledTransformer(config, given, found()), ReferenceTransformer(config, given)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_kernel_and_its_reference_have_the_same_bits(name: str) -> None:
    fast, plain = both(CONFIGS[name])
    ids, attributes = inputs(CONFIGS[name])
    assert np.array_equal(whole(fast, ids, attributes), whole(plain, ids, attributes))


@pytest.mark.parametrize("name", CONFIGS)
def test_eight_bits_say_nearly_what_torch_says(name: str) -> None:
    config = CONFIGS[name]
    ids, attributes = inputs(config)
    model = network(config).eval()
    model.load_state_dict({k: torch.from_numpy(v) for k, v in learned(config).items()}, strict=False)
    with torch.inference_mode():
        expected = model(torch.from_numpy(ids)[None], torch.from_numpy(attributes)[None])[0].numpy()
    for decoded in both(config):
        error = whole(decoded, ids, attributes) - expected
        assert np.sqrt((error**2).mean()) < 0.03 * np.sqrt((expected**2).mean())


def steps(model: Decoder, pieces: Sequence[tuple[Ints, Ints]], cuts: Sequence[Sequence[int]]) -> list[Floats]:
    """The logits after every token of pieces that are read side by side, each by as many at once as its cuts say."""
    cache = model.new_cache(len(pieces), max(len(ids) for ids, _ in pieces))
    done, turns = [0] * len(pieces), [list(cut) for cut in cuts]
    read: list[list[Floats]] = [[] for _ in pieces]
    while any(turns):
        rows = [(slot, done[slot], done[slot] + turns[slot].pop(0)) for slot in range(len(pieces)) if turns[slot]]
        parts = [(pieces[slot][0][a:b], pieces[slot][1][a:b]) for slot, a, b in rows]
        slots = np.concatenate([np.full(b - a, slot) for slot, a, b in rows])
        places = np.concatenate([np.arange(a, b) for _, a, b in rows])
        logits = model.read(
            cache, np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts]), slots, places,
            np.arange(len(slots)),
        )  # type: ignore[arg-type]  # fmt: skip
        for slot, _, b in rows:
            done[slot] = b
            read[slot].append(logits[slots == slot])
    return [np.concatenate(parts) for parts in read]


@pytest.mark.parametrize("name", ["multi-query", "grouped", "rnn"])
def test_a_token_has_the_same_logits_however_it_is_read(name: str) -> None:
    config = CONFIGS[name]
    pieces = [inputs(config, n, seed=n) for n in (N_TOKENS, 40, 33, 7, 1)]
    cuts = [[1] * N_TOKENS, [40], [7, 1, 20, 5], [3, 4], [1]]
    for model in both(config):
        expected = [whole(model, *piece) for piece in pieces]
        for got, right in zip(steps(model, pieces, cuts), expected, strict=True):
            assert np.array_equal(got, right)


def variants() -> list[str]:
    """Those of this processor's family that it can do: the best one and what comes before it."""
    names = list(build.VARIANTS[build.FAMILIES.get(platform.machine().lower(), "other")])
    return names[: names.index(found().variant) + 1]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_all_variants_and_numbers_of_threads_have_the_same_bits(threads: int) -> None:
    config = CONFIGS["grouped"]
    given, (ids, attributes) = learned(config), inputs(config)
    expected = whole(ReferenceTransformer(config, given), ids, attributes)
    for name in variants():
        one = variant_of(ctypes.CDLL(str(LIBRARY)), name)
        model = CompiledTransformer(config, given, one, threads=threads)
        assert np.array_equal(whole(model, ids, attributes), expected), name
        assert np.array_equal(steps(model, [(ids, attributes)], [[1] * N_TOKENS])[0], expected), name


@pytest.mark.parametrize("name", ["multi-query", "rnn"])
def test_a_slot_can_be_copied_and_what_was_read_behind_a_place_is_forgotten(name: str) -> None:
    config = CONFIGS[name]
    ids, attributes = inputs(config)
    for model in both(config):
        expected = whole(model, ids, attributes)
        cache = model.new_cache(3, N_TOKENS)

        def read(slot: int, first: int, last: int, shift: int = 0) -> Floats:
            n = np.arange(last - first)
            rows = (ids[first:last] + shift) % config.vocab_size, attributes[first:last]
            return model.read(cache, *rows, np.full(len(n), slot), first + n, n)  # type: ignore[arg-type]  # noqa: B023

        read(1, 0, 20)
        cache.copy(1, 2)
        read(1, 20, 40, shift=3)
        assert np.array_equal(read(2, 20, N_TOKENS), expected[20:])
        if model.can_go_back:
            assert np.array_equal(read(1, 20, N_TOKENS), expected[20:])
        assert np.array_equal(read(1, 0, N_TOKENS), expected), "place 0 begins anew"


def test_only_wanted_logits_are_told() -> None:
    config = CONFIGS["multi-query"]
    ids, attributes = inputs(config)
    wanted = np.full(N_TOKENS, -1)
    lines = [3, 33, 34, 69]
    wanted[lines] = np.arange(4)
    for model in both(config):
        cache = model.new_cache(1, N_TOKENS)
        got = model.read(cache, ids, attributes, np.zeros(N_TOKENS, int), np.arange(N_TOKENS), wanted)  # type: ignore[arg-type]
        assert np.array_equal(got, whole(model, ids, attributes)[lines])


def test_silence_and_a_lone_token_are_no_special_cases() -> None:
    config = CONFIGS["multi-query"]
    silent = {name: np.zeros_like(w) for name, w in learned(config).items()}
    ids, attributes = inputs(config, 1)
    for model in (CompiledTransformer(config, silent, found()), ReferenceTransformer(config, silent)):
        assert np.array_equal(whole(model, ids, attributes), np.zeros((1, VOCAB), np.float32))


@pytest.mark.parametrize("shape", [(1, 1), (16, 4), (33, 7), (100, 1030)])
def test_products_are_near_and_the_same_with_and_without_the_kernel(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    w, x = (random.standard_normal(size).astype(np.float32) for size in (shape, (9, shape[1])))
    x[4] = 0
    matrix = Matrix.of(w)
    exact = x @ w.T
    got = Product(matrix)(x)
    assert np.abs(got - exact).max() < 0.03 * np.sqrt(shape[1]) * 2
    assert np.array_equal(CompiledProduct(matrix, found())(x), got)
    assert np.array_equal(got[4], np.zeros(shape[0], np.float32))


def test_without_a_compiled_kernel_numpy_decodes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = CONFIGS["multi-query"]
    assert isinstance(decoder(config, learned(config)), CompiledTransformer)
    monkeypatch.setattr(compiled, "LIBRARY", tmp_path / "kernel.bin")
    library.cache_clear()
    assert isinstance(decoder(config, learned(config)), ReferenceTransformer)
    (tmp_path / "kernel.bin").write_bytes(b"of another machine")
    library.cache_clear()
    assert isinstance(decoder(config, learned(config)), ReferenceTransformer)
    library.cache_clear()


def test_more_heads_than_the_kernel_has_room_for_are_left_to_numpy() -> None:
    config = preset("tiny", VOCAB, SIZES, d_model=144, n_head=72, musical_share=0.0)
    assert isinstance(decoder(config, learned(config)), ReferenceTransformer)


def test_what_hinders_compiling_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CC", str(tmp_path / "no-such-compiler"))
    assert "cannot be started" in build.compiled(tmp_path / "kernel.bin")
    monkeypatch.setenv("CC", "false")
    assert "failed" in build.compiled(tmp_path / "kernel.bin")
    monkeypatch.delenv("CC")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert build.compiled(tmp_path / "kernel.bin") == "no C compiler was found"
    assert list(tmp_path.iterdir()) == []
