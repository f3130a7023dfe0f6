"""Decoding on a CPU without torch: trained networks with 8-bit weights, one token of each of some pieces at a time.

The same network is written three times. `musegen.models` has it in torch, for training. `kernel.c` has it in C, which
is what decodes where the package was installed with a C compiler. `reference.py` has the arithmetic of `kernel.c` in
NumPy: it decodes elsewhere, slower, to the same bits. Both compute every token's logits in one order of operations,
whatever is read beside it and by however many threads, so a piece does not depend on the machine, on its neighbours
or on whether several of its tokens are read at once.

Weights and what multiplies them are 8-bit integers (symmetric; a scale for each output of a matrix, and for each
token), as are the keys and values that are kept; all else is single precision. docs/benchmarks/decoding.md has what
that costs in likelihood and brings in speed.
"""

from __future__ import annotations

from musegen.engine.compiled import MOST_HEADS, CompiledTransformer, library
from musegen.engine.lstm import LSTM
from musegen.engine.reference import ReferenceTransformer
from musegen.engine.weights import Weights
from musegen.shapes import ModelConfig

__all__ = ["LSTM", "CompiledTransformer", "Decoder", "ReferenceTransformer", "decoder"]

Decoder = CompiledTransformer | ReferenceTransformer | LSTM


def decoder(config: ModelConfig, weights: Weights, *, threads: int = 1) -> Decoder:
    """A network ready to decode, from the float32 weights of `musegen.models`, by name."""
    found = library()
    if config.architecture == "rnn":
        return LSTM(config, weights, found)
    if found is None or config.n_head // config.n_kv_head > MOST_HEADS:
        return ReferenceTransformer(config, weights)
    return CompiledTransformer(config, weights, found, threads=threads)
