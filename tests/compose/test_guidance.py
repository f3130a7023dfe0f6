"""Guidance: what is read beside a piece, and that it changes nothing where it is off."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from musegen.compose import Request
from musegen.compose.autoregressive import AutoregressiveComposer
from musegen.compose.guidance import Shadow, unasked
from musegen.compose.request import STYLE_GUIDANCE
from musegen.decoding.filters import SamplingOptions
from musegen.engine import decoder
from musegen.errors import RequestError
from musegen.models import build, preset, weights
from musegen.score.formats import to_bytes
from musegen.score.theory import parse_key
from musegen.tokens import DROPPABLE, VOCABULARY, Remi
from tests.compose.messy import messy

GUIDED = SamplingOptions(guidance=2.5)
ASKED = {"style": "folk", "key": parse_key("D"), "tempo": 90.0, "density": 4, "polyphony": 3, "pitch_range": (50, 80)}
NEW = Request(**ASKED, meter=(4, 4), bars=3, chords=("D", "G A7"), seed=3)  # type: ignore[arg-type]
REQUESTS = {
    "new": NEW,
    "continuation": Request(prompt=messy(1, chords=True), bars=2, chords=("Am", "E7 Am"), style="song", seed=3),
    "infill": Request(prompt=messy(2), infill=(3, 4), chords=("C",), density=5, seed=3),
    "harmonize": Request(prompt=messy(3), harmonize=(0,), style="chorale", seed=3),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_the_shadow_reads_the_same_music_without_what_was_asked_for(
    composer: AutoregressiveComposer, name: str
) -> None:
    roomy = with_room(composer)
    row = roomy._begin(REQUESTS[name], 0)
    prompt = list(row.ids)
    list(roomy._write([row]))
    again = roomy._begin(REQUESTS[name], 0)
    shadow = Shadow(again.state, again.unasked)
    read, places = again.unasked.tolist(), shadow.places.tolist()
    for token in row.ids[len(prompt) :]:
        again.state.advance(token)
        if shadow.advance(token):
            read.append(token)
            places.append(list(shadow.attributes))
    tokenizer = Remi()
    kinds = [VOCABULARY.names[token].partition("_")[0] for token in read]
    n_head = kinds.index("Bar")
    assert not {*DROPPABLE, "HIGH", "Pitch"} & set(kinds[:n_head]) and "Chord" not in kinds
    assert {"Metre", "Instrument"} <= set(kinds[:n_head])
    heard, given = tokenizer.grid(np.array(read)), tokenizer.grid(np.array(row.ids))
    assert np.array_equal(heard.notes, given.notes) and heard.programs == given.programs
    assert np.array_equal(places, tokenizer.attributes(np.array(read)))
    if name == "infill":
        assert kinds.count("MASK") == 2, "without chords whole bars are masked"


def with_room(composer: AutoregressiveComposer) -> AutoregressiveComposer:
    """The same with room for all of these prompts."""
    config = preset("tiny", Remi.vocabulary.size, Remi.attribute_sizes, context=1024)
    return AutoregressiveComposer("roomy", decoder(config, weights(build(config))), 1024, {}, composer.checksum)


def test_unasked_leaves_the_bars_alone() -> None:
    ids = Remi().encode(messy(1))
    stripped = unasked(ids)
    assert len(stripped) < len(ids)
    assert np.array_equal(stripped[-50:], ids[-50:])


def test_guidance_that_is_not_asked_for_is_that_of_the_style_where_it_can_be(composer: AutoregressiveComposer) -> None:
    options = [SamplingOptions(guidance=g) for g in (None, STYLE_GUIDANCE["folk"], 1.0)]
    plain, usual, off = (to_bytes(composer.compose([replace(NEW, sampling=o)])[0]) for o in options)
    assert plain == usual != off
    song = replace(NEW, style="song")
    plain, off = (to_bytes(composer.compose([replace(song, sampling=o)])[0]) for o in (options[0], options[2]))
    assert plain == off
    beam = SamplingOptions(search="beam", beams=2)
    plain, off = (
        to_bytes(composer.compose([replace(NEW, sampling=replace(beam, guidance=g))])[0]) for g in (None, 1.0)
    )
    assert plain == off


def test_a_guided_piece_is_the_same_alone_and_among_others(composer: AutoregressiveComposer) -> None:
    requests = [replace(request, sampling=GUIDED) for request in REQUESTS.values()]
    requests += [replace(NEW, seed=seed, sampling=GUIDED) for seed in (4, 5)]
    together = [to_bytes(score) for score in composer.compose(requests)]
    assert together == [to_bytes(composer.compose([request])[0]) for request in requests]


def test_what_guidance_does_not_go_with() -> None:
    with pytest.raises(RequestError, match=r"guidance is 6\.0: it must lie from 1 to 5"):
        SamplingOptions(guidance=6.0)
    with pytest.raises(RequestError, match="guidance does not go with beam search"):
        SamplingOptions(guidance=2.0, search="beam")
