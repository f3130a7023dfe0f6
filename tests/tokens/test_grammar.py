"""Whatever the grammar allows, in any order, is a valid piece."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musegen.score.model import Score
from musegen.tokens import VOCABULARY, Constraints, Grammar, Remi
from musegen.tokens.grid import TICKS_PER_STEP
from musegen.tokens.trace import trace
from tests.tokens.walks import random_walk

TOKENIZER = Remi()


@st.composite
def constraints(draw: st.DrawFn) -> Constraints:
    pitches = draw(st.none() | st.sets(st.integers(0, 127), min_size=1, max_size=20))
    return Constraints(
        bars=draw(st.integers(1, 6)),
        pitches=None if pitches is None else np.isin(np.arange(128), list(pitches)),
        polyphony=draw(st.none() | st.integers(1, 4)),
        changes=draw(st.booleans()),
        chords=draw(st.booleans()),
        masks=draw(st.booleans()),
    )


def assert_valid(score: Score, rules: Constraints, ids: np.ndarray) -> None:
    read = trace(ids)
    assert len(read.starts) - 1 == rules.bars
    assert score.end == read.starts[-1] * TICKS_PER_STEP
    for track in score.tracks:
        notes = track.notes[np.lexsort((track.notes["start"], track.notes["pitch"]))]
        ends = notes["start"] + notes["duration"]
        assert (notes["start"] >= 0).all() and (notes["duration"] > 0).all()
        assert (ends <= score.end).all(), "a note sounds past the end"
        same = notes["pitch"][1:] == notes["pitch"][:-1]
        assert (ends[:-1][same] <= notes["start"][1:][same]).all(), "a note lies on top of itself"
        if not track.is_drum and rules.pitches is not None:
            assert rules.pitches[notes["pitch"]].all()
    if rules.polyphony is not None:
        sounding = np.zeros(score.end // TICKS_PER_STEP + 1, int)
        for track in score.tracks:
            if not track.is_drum:
                np.add.at(sounding, track.notes["start"] // TICKS_PER_STEP, 1)
                np.add.at(sounding, (track.notes["start"] + track.notes["duration"]) // TICKS_PER_STEP, -1)
        assert sounding.cumsum().max() <= rules.polyphony


@settings(max_examples=150, deadline=None)
@given(constraints(), st.integers(0, 2**32 - 1))
def test_whatever_is_allowed_decodes_to_a_valid_piece(rules: Constraints, seed: int) -> None:
    ids, attributes = random_walk(rules, np.random.default_rng(seed))
    assert_valid(TOKENIZER.decode(ids), rules, ids)
    assert np.array_equal(trace(ids).attributes, attributes), "walking and reading at once must agree"


def test_three_thousand_walks() -> None:
    rng = np.random.default_rng(7)
    n_notes = 0
    for walk in range(3000):
        rules = Constraints(bars=1 + walk % 3, polyphony=(None, 2)[walk % 2], changes=walk % 5 == 0)
        ids, _ = random_walk(rules, rng)
        score = TOKENIZER.decode(ids)
        assert_valid(score, rules, ids)
        n_notes += score.n_notes
    assert n_notes > 9000


@pytest.mark.parametrize("masks", [False, True])
def test_positions_lie_inside_the_metre(masks: bool) -> None:
    rng = np.random.default_rng(1)
    for _ in range(100):
        ids, _ = random_walk(Constraints(bars=2, masks=masks), rng)
        read = trace(ids)
        position = VOCABULARY.blocks["Position"]
        for i in np.flatnonzero((ids >= position.start) & (ids < position.stop)):
            assert ids[i] - position.start < read.starts[read.bars[i] + 1] - read.starts[read.bars[i]]


def test_the_last_bar_has_a_note_and_bars_count_down() -> None:
    rng = np.random.default_rng(2)
    bar = VOCABULARY.blocks["Bar"]
    for _ in range(100):
        ids, _ = random_walk(Constraints(bars=4), rng)
        assert [i - bar.start for i in ids if bar.start <= i < bar.stop] == [3, 2, 1, 0]
        score = TOKENIZER.decode(ids)
        last_bar = trace(ids).starts[-2] * TICKS_PER_STEP
        assert score.notes_end > last_bar


def test_a_single_pitch_never_leads_into_a_dead_end() -> None:
    rng = np.random.default_rng(3)
    only = np.arange(128) == 60
    for _ in range(50):
        ids, _ = random_walk(Constraints(bars=3, pitches=only, polyphony=1), rng)
        assert TOKENIZER.decode(ids).n_notes > 0


def test_nothing_is_said_that_has_not_changed() -> None:
    state = Grammar(Constraints(bars=2)).start()
    word = VOCABULARY.id
    for token in (
        "BOS",
        ("Metre", VOCABULARY.names.index("Metre_4/4") - word("Metre")),
        ("Instrument", 0),
        ("Bar", 1),
    ):
        state.advance(word(*token) if isinstance(token, tuple) else word(token))
    mask = state.allowed()
    assert not mask[VOCABULARY.names.index("Duration_24")], "a quarter is what a track begins with"
    assert mask[VOCABULARY.names.index("Duration_12")]
    assert not mask[word("Position", 0)] and mask[word("Position", 1)]
    state.advance(word("Pitch", 60))
    mask = state.allowed()
    assert not mask[word("Position", 24)] and not mask[word("Position", 0)] and mask[word("Position", 12)]
    assert mask[word("Pitch", 60)] and not mask[word("Add", 60)] and mask[word("Add", 64)] and not mask[word("Add", 59)]
    assert not mask[word("EOS")] and mask[word("Bar", 0)]


def test_a_copied_state_goes_its_own_way() -> None:
    rng = np.random.default_rng(4)
    ids, _ = random_walk(Constraints(bars=2), rng)
    state = Grammar(Constraints(bars=2)).start()
    for token in ids[:-1]:
        state.advance(int(token))
    other = state.copy()
    other.advance(int(ids[-1]))
    assert other.done and not state.done and state.allowed()[ids[-1]]
