"""What the file of a diffusion model says beside its weights: usual metres and tempi, and where noise matters."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import Any

import numpy as np

from musegen.corpus.shards import Split
from musegen.models.dit import Dit
from musegen.tokens.vocabulary import METRES, TEMPI, VOCABULARY
from musegen.train.distributed import Place
from musegen.train.roll_objective import MEASURED_TOGETHER, level_nats
from musegen.train.roll_pieces import RollPiece
from musegen.train.rolls import held_out_clips

FRAMES, PIECES_FOR_FRAMES = 16, 4000
"""So many frames of a style are told, of at most so many pieces."""
RATES, CLIPS_FOR_RATES = 24, 128
"""Strata of ln sigma, and clips, by which it is told how much is decided where."""
USUAL_TEMPO = 120.0


def frames_of(learned: Split) -> dict[str, list[list[float]]]:
    """Of each style the usual frames: rows of numerator, denominator, tempo and how many pieces have it."""
    counts: dict[str, Counter[tuple[int, int, float]]] = {}
    order = np.random.default_rng(0).permutation(len(learned))[:PIECES_FOR_FRAMES]
    for index in order.tolist():
        piece = learned[index]
        rolls = RollPiece.of(piece, 1)
        if not rolls.stretches or not rolls.placed.tracks:  # no clip is cut from it
            continue
        numerator, denominator = METRES[int(rolls.metres[rolls.stretches[0].first])]
        said = VOCABULARY.values[piece.ids[VOCABULARY.types[piece.ids] == VOCABULARY.type_index["Tempo"]]]
        tempo = float(TEMPI[int(said[0])]) if len(said) else USUAL_TEMPO
        counts.setdefault(rolls.style or "", Counter())[numerator, denominator, tempo] += 1
    return {style: [[*frame, count] for frame, count in of.most_common(FRAMES)] for style, of in sorted(counts.items())}


def rates_of(model: Dit, valid: Split, place: Place) -> list[float]:
    """The nats a clip that are decided in each of RATES strata of ln sigma, from sigma_min to sigma_max."""
    order = np.random.default_rng(0).permutation(len(valid)).tolist()
    found = (
        clip
        for index in order
        for clip in held_out_clips(RollPiece.of(valid[index], model.config.n_parts), model.config, 1)
        if clip.n_notes
    )
    clips = list(islice(found, CLIPS_FOR_RATES))
    strata = [
        level_nats(model, clips[start : start + MEASURED_TOGETHER], place, first=start, n_levels=RATES)
        for start in range(0, len(clips), MEASURED_TOGETHER)
    ]
    sums = sum(part.sum(dim=1) for part in strata)
    return [round(float(value) / len(clips), 3) for value in sums]  # type: ignore[union-attr]


def roll_facts(model: Dit, learned: Split, valid: Split, place: Place) -> dict[str, Any]:
    """Both, and the styles of which there are clips."""
    frames = frames_of(learned)
    return {"frames": frames, "rates": rates_of(model, valid, place), "styles": [style for style in frames if style]}
