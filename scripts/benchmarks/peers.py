"""Other programs at the same work; each is left out where it is missing (`pip install musegen[bench]`)."""

from __future__ import annotations

import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np

from musegen.shapes import ModelConfig

HUGGING_FACE = "Hugging Face generate"


def decoders(config: ModelConfig, batch: int, n_tokens: int) -> dict[str, Callable[[], float]]:
    """By name, what tells the tokens a second of a network of this shape."""
    found: dict[str, Callable[[], float]] = {}
    if find_spec("transformers"):
        found[HUGGING_FACE] = hugging_face(config, batch, n_tokens)
    if batch == 1:
        if find_spec("midigpt"):
            found["midigpt's network"] = midigpt(config, n_tokens)
        found["no cache"] = uncached(config, n_tokens)
    return found


def hugging_face(config: ModelConfig, batch: int, n_tokens: int) -> Callable[[], float]:
    """`generate` of a warm Llama of this shape: three matrices of 2/3 our width in its feed-forward layer."""
    import torch

    transformers = import_module("transformers")
    shape = transformers.LlamaConfig(
        vocab_size=config.vocab_size, hidden_size=config.d_model, intermediate_size=config.d_ff * 2 // 3,
        num_hidden_layers=config.n_layer, num_attention_heads=config.n_head, num_key_value_heads=config.n_kv_head,
        max_position_embeddings=2048, tie_word_embeddings=True, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    model = transformers.LlamaForCausalLM(shape).eval()
    prompt = torch.ones((batch, 1), dtype=torch.long)
    options = {"do_sample": True, "min_p": 0.01, "top_k": 0, "min_new_tokens": n_tokens}

    def once() -> float:
        began = time.perf_counter()
        with torch.inference_mode():
            model.generate(prompt, attention_mask=prompt, max_new_tokens=n_tokens, **options)
        return batch * n_tokens / (time.perf_counter() - began)

    return once


def midigpt(config: ModelConfig, n_tokens: int) -> Callable[[], float]:
    """Midigpt's GPT-2 with its cache, and a draw; it decodes one piece at a time."""
    import torch

    gpt2 = import_module("midigpt.inference.model.gpt2")
    shape = gpt2.GPT2Config(config.vocab_size, 2048, config.d_model, config.n_layer, config.n_head)
    model = next(value for key, value in vars(gpt2).items() if key.startswith("GPT2LM"))(shape).eval()

    def once() -> float:
        began = time.perf_counter()
        with torch.inference_mode():
            token, past = torch.ones((1, 1), dtype=torch.long), None
            for _ in range(n_tokens):
                logits, past = model(token, past)[:2]
                token = torch.multinomial(logits[:, -1].softmax(-1), 1)
        return n_tokens / (time.perf_counter() - began)

    return once


def uncached(config: ModelConfig, n_tokens: int) -> Callable[[], float]:
    """Our network in torch, the whole piece read for every token.

    Timed at four lengths; between them its time is taken to be straight.
    """
    import torch

    from musegen.models import build

    model = build(config).eval()
    lengths = [n_tokens // 16 or 1, n_tokens // 4, n_tokens // 2, n_tokens]

    def once() -> float:
        times = []
        with torch.inference_mode():
            for length in lengths:
                ids = torch.full((1, length), 40)
                attributes = torch.zeros((1, length, len(config.attribute_sizes) + 2), dtype=torch.long)
                began = time.perf_counter()
                model(ids, attributes)
                times.append(time.perf_counter() - began)
        return float(n_tokens / np.trapezoid(np.interp(range(n_tokens), lengths, times)))

    return once


def miditok_tokenizer(name: str = "REMI") -> Any:
    """A tokenizer of MidiTok: 12 steps a quarter, one stream for all programs, tempi, metres; no pairs are merged.

    Args:
        name: REMI, TSD, CPWord or Octuple.
    """
    miditok = import_module("miditok")
    longest = {"max_bar_embedding": 2000} if name == "Octuple" else {}  # it leaves out what lies behind bar 60
    config = miditok.TokenizerConfig(
        pitch_range=(0, 127), beat_res={(0, 16): 12}, num_velocities=16, use_tempos=True, use_time_signatures=True,
        time_signature_range={8: list(range(1, 17)), 4: list(range(1, 9)), 2: [1, 2, 3, 4], 1: [1, 2]},
        use_programs=True, one_token_stream_for_programs=True, **longest,
    )  # fmt: skip
    return getattr(miditok, name)(config)
