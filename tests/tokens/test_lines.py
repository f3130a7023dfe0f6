"""No parallel fifths and octaves where they are not wanted."""

from __future__ import annotations

import numpy as np
import pytest

from musegen.evaluate.voices import FIFTH, OCTAVE, four_voices, parallels
from musegen.score.model import Score
from musegen.tokens import VOCABULARY, Constraints, Remi
from musegen.tokens.heard import NO_PITCH
from musegen.tokens.lines import Lines
from musegen.tokens.vocabulary import DURATIONS


def lines_of(*tracks: list[int | None], steps: int = 24) -> Lines:
    """Lines of quarters; None rests."""
    lines = Lines()
    for track, pitches in enumerate(tracks):
        for i, pitch in enumerate(pitches):
            if pitch is not None:
                lines.add(track, i * steps, (i + 1) * steps, pitch)
    return lines


@pytest.mark.parametrize(
    ("other", "own", "forbidden"),
    [
        ([67, 69], [60], {62, 76, 88}),  # a fifth, both up
        ([67, 65], [60], {58, 46}),  # and both down
        ([72, 74], [60], {62, 74}),  # an octave or a unison
        ([67, 67], [60], set()),  # the other stays
        ([67, None], [60], set()),  # the other rests
        ([64, 65], [60], set()),  # a third
    ],
)
def test_what_keeps_a_perfect_interval_in_the_same_direction_is_forbidden(
    other: list[int | None], own: list[int | None], forbidden: set[int]
) -> None:
    row = lines_of(other, own).forbidden(1, 24)
    found = set(np.flatnonzero(row).tolist())
    assert forbidden <= found
    for pitch in found:
        assert other[0] is not None
        assert other[1] is not None
        assert abs(pitch - other[1]) % 12 == abs(60 - other[0]) % 12
        assert (pitch > 60) == (other[1] > other[0])
    assert bool(found) == bool(forbidden)


def test_after_a_rest_nothing_is_parallel() -> None:
    assert not lines_of([67, 67, 69], [60, None]).forbidden(1, 48).any()


def four_lines(seed: int, *, parallels: bool) -> Score:
    """Four voices of up to six bars in quarters and halves, drawn by random steps among what the grammar allows."""
    rng = np.random.default_rng(seed)
    state = Remi().grammar(Constraints(bars=6, parallels=parallels)).start()
    head = ["BOS", "Metre_4/4", "Bars_6", *["Instrument_52"] * 4, "Bar_5"]
    ids = [VOCABULARY.names.index(name) for name in head]
    for token in ids:
        state.advance(token)
    durations = [VOCABULARY.id("Duration", DURATIONS.index(steps)) for steps in (24, 48)]
    while not state.done:
        mask = state.allowed()
        last = state.parts[state.track].last_pitch
        around = 72 - 8 * state.track if last == NO_PITCH else last
        near = [VOCABULARY.id("Pitch", p) for p in range(max(36, around - 3), min(84, around + 4))]
        choices = [t for t in near if mask[t]]
        if state.modifier == 0 and choices and rng.random() < 0.3:
            choices = [t for t in durations if mask[t]] or choices
        if not choices:
            following = ("Track", "Bar", "EOS", "Duration", "Velocity")
            left = [(VOCABULARY.names[t].split("_")[0], t) for t in np.flatnonzero(mask).tolist()]
            choices = [t for name in following for kind, t in left if kind == name][:1]
        if not choices:  # only a chord or a rest would go on
            break
        ids.append(int(rng.choice(choices)))
        state.advance(ids[-1])
    return Remi().decode(np.array(ids))


def test_pieces_that_must_have_none_have_none() -> None:
    free, strict = (
        [four_voices(four_lines(seed, parallels=allowed)) for seed in range(12)] for allowed in (True, False)
    )
    assert sum(parallels(v, FIFTH) + parallels(v, OCTAVE) for v in free) > 10
    assert sum(parallels(v, FIFTH) + parallels(v, OCTAVE) for v in strict) == 0
