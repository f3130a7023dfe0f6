"""Pieces longer than the context: what the model reads when it is full."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from musegen.compose import Request
from musegen.compose.autoregressive import AutoregressiveComposer
from musegen.decoding.filters import SamplingOptions
from musegen.decoding.protocol import IntArray
from musegen.engine import Decoder, decoder
from musegen.models import build, preset, weights
from musegen.score import timing
from musegen.score.model import KeySignature, Score, TimeSignature, Track
from musegen.score.theory import Key, parse_key, scale_pitch_classes
from musegen.tokens import Remi

CONTEXT = 64


class Watched:
    """Notes what is read at once: how many tokens had been written, and the attributes."""

    can_go_back = False  # so no drafts are read

    def __init__(self, network: Decoder) -> None:
        self.network, self.steps = network, 0
        self.readings: list[tuple[int, IntArray]] = []

    def new_cache(self, n_slots: int, capacity: int) -> Any:
        return self.network.new_cache(n_slots, capacity)

    def read(self, cache: Any, ids: IntArray, attributes: IntArray, *where: IntArray) -> Any:
        self.steps += bool(len(ids) > 1 or where[1][0])  # not BOS
        if len(ids) > 1:
            self.readings.append((self.steps, attributes))
        return self.network.read(cache, ids, attributes, *where)


def composer() -> tuple[AutoregressiveComposer, Watched]:
    torch.manual_seed(1)
    config = preset("tiny", Remi.vocabulary.size, Remi.attribute_sizes, context=CONTEXT)
    model = Watched(decoder(config, weights(build(config))))
    return AutoregressiveComposer("watched", model, CONTEXT, {}, "0" * 12), model


def test_a_piece_of_256_bars_is_read_anew_by_halves_and_keeps_its_frame() -> None:
    writer, model = composer()
    plain = SamplingOptions(guidance=1)
    request = Request(bars=256, meter=(1, 4), key=parse_key("E"), scale="strict", polyphony=1, seed=1, sampling=plain)
    row = writer._begin(request, 0)
    list(writer._write([row]))
    score = writer._take(row)
    assert isinstance(score, Score)
    assert timing.n_bars(score) == 256 and score.end == 256 * 480
    assert [(m.numerator, m.denominator) for m in score.time_signatures] == [(1, 4)]
    assert [Key.from_signature(key) for key in score.key_signatures] == [parse_key("E")]
    assert {int(p) % 12 for p in score.tracks[0].notes["pitch"]} <= scale_pitch_classes(parse_key("E"))
    tokenizer = Remi()
    ids = np.array(row.ids)
    attributes, n_head = tokenizer.attributes(ids), int(tokenizer.bar_offsets(ids)[0])
    slides = model.readings
    assert len(slides) > 8
    for steps, read in slides:
        assert len(read) <= CONTEXT // 2
        now = 1 + steps  # BOS, and a token each step
        expected = np.concatenate([attributes[:n_head], attributes[now - (len(read) - n_head) : now]])
        assert np.array_equal(read, expected), "after a slide the bars are counted on"
    assert (np.diff([steps for steps, _ in slides]) >= CONTEXT // 2).all(), "half a context is written between two"


def test_a_continuation_of_256_bars_holds_metre_and_key() -> None:
    writer, model = composer()
    piece = Score(480, (Track([(240 * i, (60, 62, 64)[i % 3], 240, 80) for i in range(12)]),),
                  time_signatures=(TimeSignature(0, 3, 8),), key_signatures=(KeySignature(0, 0, "major"),))  # fmt: skip
    (score,) = writer.compose([Request(prompt=piece, bars=256, scale="strict", polyphony=1, seed=2)])
    assert timing.n_bars(score) == 4 + 256 and score.time_signatures == piece.time_signatures
    assert np.array_equal(score.tracks[0].notes[:12], piece.tracks[0].notes)
    assert {int(p) % 12 for p in score.tracks[0].notes["pitch"]} <= {0, 2, 4, 5, 7, 9, 11}
    assert max(len(read) for _, read in model.readings[1:]) <= CONTEXT // 2
