"""What a model decides where the request does not say the style or the instruments."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from musegen.compose import Request
from musegen.compose.style import styled
from musegen.score.model import Score

FINE_TUNED = {"base": {}, "default_style": "user-1", "default_instruments": [24, 128]}
VIOLIN = ((40, False),)


@pytest.mark.parametrize(
    ("card", "style", "instruments"),
    [
        ({}, "folk", ((73, False),)),
        ({"default_style": "hymn"}, "hymn", ((52, False),) * 4),
        ({"default_style": None}, None, ((0, False),)),
        (FINE_TUNED, "user-1", ((24, False), (0, True))),
    ],
)
def test_a_new_piece_that_says_nothing(card: dict[str, Any], style: str | None, instruments: object) -> None:
    found = styled(Request(), card)
    assert (found.style, found.instruments) == (style, instruments)
    other = Request(style="piano")
    assert styled(other, card) == replace(other, instruments=((0, False),) * 2)


@pytest.mark.parametrize("style", ["folk", "hymn"])
def test_only_a_fine_tuned_model_has_its_style_in_all_that_it_writes(style: str) -> None:
    for request in (Request(instruments=VIOLIN), Request(prompt=Score(480, ()))):
        assert styled(request, {"default_style": style}) == request
        assert styled(request, FINE_TUNED) == replace(request, style="user-1")
