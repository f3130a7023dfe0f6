"""A new piece: what its head must say, and what of it is settled before the model writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

import numpy as np

from musegen.compose.piece import melody, rescaled
from musegen.compose.plan import Plan, PlannedState, any_of, only, scale_row
from musegen.compose.request import Request, may_be_parallel
from musegen.errors import RequestError
from musegen.score.model import KeySignature, Score, TimeSignature, Track
from musegen.score.theory import Key, key_fits, parse_key
from musegen.tokens import STYLES, VOCABULARY, Constraints, Remi
from musegen.tokens.state import BoolRow
from musegen.tokens.vocabulary import DRUM_PROGRAM, KEYS, MAX_BARS_LEFT, METRES, N_POLYPHONIES, STEPS_PER_QUARTER, TEMPI


def opened(request: Request, keys: Mapping[str, Mapping[str, int]]) -> tuple[Request, PlannedState]:
    """The request, which names its instruments, with what follows from it, and the state before the first token.

    A key that is not asked for is drawn as often as pieces of the style are in it (`keys`: style -> key -> how many),
    for models learn all keys alike.

    Raises:
        RequestError: for a motif that is no melody or does not fit, a metre the model does not know, or a range
            without a pitch of the key.
    """
    request = framed(request, keys)
    constraints = Constraints(
        request.bars,
        pitches_for(request, request.key),
        request.polyphony,
        parallels=may_be_parallel(request, request.style),
    )
    return request, PlannedState(Remi().grammar(constraints).start(), _plan(request))


def framed(request: Request, keys: Mapping[str, Mapping[str, int]]) -> Request:
    """The request with what its motif, or else the share of each key in its style, says where nothing else does."""
    if request.motif is not None:
        return _framed_by(request, request.motif)
    if request.key is None and (counts := keys.get(request.style or "")):
        return replace(request, key=_drawn(counts, request.seed))
    return request


def _drawn(counts: Mapping[str, int], seed: int) -> Key:
    """A key by its share, which follows from the seed."""
    shares = np.array(list(counts.values())) / sum(counts.values())
    return parse_key(list(counts)[np.random.default_rng(seed).choice(len(shares), p=shares)])


def _plan(request: Request) -> Plan:
    """What the head must say, in its order, and what the motif settles."""
    word = VOCABULARY.id
    head: list[BoolRow] = []
    if request.style is not None:
        head.append(only(word("Style", STYLES.index(request.style))))
    head.append(_keys_for(request))
    head.append(any_of("Metre") if request.meter is None else only(word("Metre", _metre_value(request.meter))))
    head.append(any_of("Tempo") if request.tempo is None else only(word("Tempo", _tempo_value(request.tempo))))
    head.append(only(word("Bars", min(request.bars - 1, MAX_BARS_LEFT))))
    if request.density is not None:
        head.append(only(word("Density", request.density - 1)))
    if request.polyphony is not None:
        head.append(only(word("Polyphony", min(request.polyphony, N_POLYPHONIES) - 1)))
    if request.pitch_range is not None:
        low, high = request.pitch_range
        head += [only(word("LOW")), only(word("Pitch", low)), only(word("HIGH")), only(word("Pitch", high))]
    for program, is_drum in request.instruments:
        head.append(only(word("Instrument", DRUM_PROGRAM if is_drum else program)))
    head.append(only(word("Bar", min(request.bars - 1, MAX_BARS_LEFT))))
    written, until = ({}, 0) if request.motif is None else _written(request, request.motif)
    return Plan(head, written, until, in_scale=request.scale == "strict", harmony=request.harmony)


def _written(request: Request, motif: Score) -> tuple[dict[int, list[int]], int]:
    """The motif's tokens bar by bar, and the step up to which it reaches."""
    motif = rescaled(motif, STEPS_PER_QUARTER * 20)
    assert request.meter is not None
    frame = Score(
        motif.ticks_per_beat,
        (Track(melody(motif), program=request.instruments[0][0]),),
        time_signatures=(TimeSignature(0, *request.meter),),
    )
    steps = -(-motif.end * STEPS_PER_QUARTER // motif.ticks_per_beat)
    bar = 4 * STEPS_PER_QUARTER * request.meter[0] // request.meter[1]
    if steps > request.bars * bar:
        raise RequestError(f"the motif is longer than {request.bars} bars; ask for more bars")
    tokenizer = Remi()
    ids = tokenizer.encode(frame, ends=False)
    bars = [*tokenizer.bar_offsets(ids).tolist(), len(ids)]
    return {k: ids[a + 1 : b].tolist() for k, (a, b) in enumerate(pairwise(bars))}, steps


def _framed_by(request: Request, motif: Score) -> Request:
    """The request with the metre, key and tempo that the motif's file says, where nothing else does."""
    if sum(len(track.notes) > 0 for track in motif.tracks) != 1:
        raise RequestError("a motif is one line of notes; to go on from a piece of several tracks, continue it")
    metre = (motif.time_signatures or (TimeSignature(0, 4, 4),))[0]
    key = Key.from_signature(motif.key_signatures[0]) if motif.key_signatures else None
    return replace(
        request,
        meter=request.meter or (metre.numerator, metre.denominator),
        key=request.key or key,
        tempo=request.tempo or (motif.tempos[0].qpm if motif.tempos else None),
    )


def pitches_for(request: Request, key: Key | None) -> BoolRow | None:
    """(128,) the pitches that the request allows: its range, and its scale where the key is known."""
    low, high = request.pitch_range or (0, 127)
    row = (np.arange(128) >= low) & (np.arange(128) <= high)
    if request.scale == "strict" and key is not None:
        row &= scale_row(key)
        if not row.any():
            raise RequestError(f"no pitch of {key.name} lies between {low} and {high}; widen the range")
    return None if row.all() else row


def _keys_for(request: Request) -> BoolRow:
    """The keys the head may say: the one asked for, those that hold the motif, or any."""
    if request.key is not None:
        return only(VOCABULARY.id("Key", KEYS.index((request.key.fifths, request.key.mode))))
    if request.motif is not None and (fitting := _fitting(request.motif)):
        return only(*(VOCABULARY.id("Key", value) for value in fitting))
    return any_of("Key")


def _fitting(motif: Score) -> list[int]:
    """Values of the keys, of at most five accidentals, that hold every pitch of a motif."""
    used = np.unique(melody(motif)["pitch"])
    keys = [Key.from_signature(KeySignature(0, *key)) for key in KEYS]
    return [v for v, key in enumerate(keys) if abs(KEYS[v][0]) <= 5 and scale_row(key)[used].all()]


def keys_of_motif(motif: Score) -> Key | None:
    """The likeliest by its pitch classes of the keys that hold a motif; None where none does."""
    notes = melody(motif)
    fits = key_fits(np.bincount(notes["pitch"] % 12, notes["duration"], 12))
    keys = [Key.from_signature(KeySignature(0, *KEYS[value])) for value in _fitting(motif)]
    return max(keys, key=lambda key: fits[key.tonic_pc + 12 * (key.mode == "minor")], default=None)


def _metre_value(meter: tuple[int, int]) -> int:
    if meter not in METRES:
        raise RequestError(f"the metre {meter[0]}/{meter[1]} has bars of more than eight quarters, which models lack")
    return METRES.index(meter)


def _tempo_value(tempo: float) -> int:
    return int(np.abs(np.log(np.array(TEMPI)) - np.log(tempo)).argmin())
