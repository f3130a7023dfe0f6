"""The style, the instruments and the frame of a piece where the request does not say them: the model's card does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from musegen.compose.request import PIANO, STYLE_INSTRUMENTS, Request
from musegen.tokens.vocabulary import DRUM_PROGRAM

USUAL_STYLE = "folk"
"""Of the models whose card names no default style."""


def styled(request: Request, card: Mapping[str, Any]) -> Request:
    """The request with what the model decides where it is silent.

    A fine-tuned model writes everything in its own style. Another takes the style that most of its training pieces
    have, if any, for a new piece that says neither style nor instruments. A new piece gets instruments.
    """
    if "base" in card:
        request = _in_own_style(request, card)
    if request.prompt is not None:
        return request
    if request.style is None and not request.instruments:
        request = replace(request, style=card.get("default_style", USUAL_STYLE))
    if not request.instruments:
        request = replace(request, instruments=STYLE_INSTRUMENTS.get(request.style or "", PIANO))
    return request


def _in_own_style(request: Request, card: Mapping[str, Any]) -> Request:
    """The request in the style, and for the instruments, that a fine-tuned model writes in by default.

    A harmony for no instruments stays: its style is what tells them.
    """
    style = card["default_style"]
    if request.style not in (None, style) or (request.harmonize and not request.instruments):
        return request
    instruments = request.instruments
    if request.prompt is None and not instruments:
        values = card.get("default_instruments", ())
        instruments = tuple((value % DRUM_PROGRAM, value == DRUM_PROGRAM) for value in values)
    return replace(request, style=style, instruments=instruments)


def drawn_frame(
    frames: Sequence[Sequence[float]], meter: tuple[int, int] | None, seed: int
) -> tuple[tuple[int, int], float]:
    """A metre and a tempo as often as pieces of the style have them: rows of numerator, denominator, tempo, count."""
    fitting = [row for row in frames if meter is None or (int(row[0]), int(row[1])) == meter] or list(frames)
    if not fitting:
        return (4, 4), 120.0
    counts = np.array([row[3] for row in fitting], float)
    row = fitting[int(np.random.default_rng([seed, 3]).choice(len(counts), p=counts / counts.sum()))]
    return (int(row[0]), int(row[1])), float(row[2])
