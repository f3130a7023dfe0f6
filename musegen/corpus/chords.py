"""Chord symbols from the notes alone: a hidden Markov model over beats with hand-set weights.

Every beat of the metre map is a segment. What sounds in it makes a chroma (how much of each pitch class) and a bass
(the pitch classes of its lowest notes); a chord explains both by how likely its tones are under it. Chords of the
local key are likelier, rarer qualities pay, and a change costs less on a bar line or in the middle of a bar than on
another beat. The Viterbi path through that is the harmony, as in Raphael & Stoddard, "Functional harmonic analysis
using probabilistic models", 2004. Drums and the pedal are not heard.

Pitches are counted from the piece's lowest note, so a transposed piece gets exactly the transposed chords.
docs/benchmarks/chords.md says how right they are; scripts/chords_report.py measures it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from musegen.score import timing
from musegen.score.model import Array, Chord, Score, TimeSignature
from musegen.score.theory import KEY_PROFILES
from musegen.tokens.harmony import CHORD_TONES, chord_symbol
from musegen.tokens.vocabulary import NO_CHORD, QUALITIES

# Letters of the shapes: n segments, S = 168 chords (root * 14 + quality); states are S + 1, "no chord" first.
# The weights were set by measuring (coordinate search on the train splits that docs/benchmarks/chords.md names, then
# rounded). Scores are natural logarithms of probabilities, or are added to such.

FOREIGN = 0.1
"""How likely a tone foreign to the chord is, a chord tone being 1: a chord of four tones pays for spreading itself."""

BASS_THIRD, BASS_OTHER = 0.2, 0.05
"""The same for the lowest tone, the root being 1: the third lies there often, what else does by chance."""

BASS_WEIGHT = 0.6
"""How much the bass counts beside all tones (it is one of them already)."""

ONSET, ON_BEAT = 0.6, 0.4
"""How much more a tone counts that begins in the segment, and again on its beat: held and passing tones say less."""

SLIVER = 1 / 32
"""What sounds for less than this part of a segment is overhang and not heard there."""

BASS_SPREAD = 12
"""Semitones between lowest and highest from which on the lowest is a bass; a tune alone has none."""

CHANGE_COSTS = (1.5, 2, 3.5)
"""What a change costs on a bar line, in the middle of a bar, on another beat."""

FIFTH_DOWN = 0.8
"""What a root that falls by a fifth (G to C) takes off the cost: the commonest motion."""

KEY_COST, PRIMARY = 0.3, 0.2
"""A beat's cost for each chord tone outside the key, and its gain on I, IV and V."""

KEY_BARS = 16
"""Over how many bars on both sides the weight of notes in the estimate of the key falls to 1/e."""

KEY_NOTES = 60
"""As how many notes those in reach count: how sure the estimate of the key is."""

BASS_CLEAR = 0.6
"""The share of the bass from which on a chord tone other than the root is written after a slash."""

SILENCE = 0.5
"""A silent beat's gain from being "no chord"; shorter rests than a few beats stay in the chord."""

_RARITY: dict[str, float] = {
    "": 0, "m": 0.2, "7": 0.6, "maj7": 1.2, "m7": 1.2, "dim": 1.5, "dim7": 1.5, "m7b5": 1.5, "aug": 1.8, "sus4": 2.2,
    "sus2": 2.4, "6": 3.5, "m6": 3.5, "mmaj7": 2,
}  # fmt: skip
"""A beat's cost of each quality; a sixth costs more than the seventh chord of the same tones."""

_SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10, 11))
"""Major, and minor with both sevenths."""

BAR, HALF, BEAT = 0, 1, 2
"""The levels of a segment's beginning: a bar line, the middle of a bar, another beat."""


def estimate_chords(score: Score) -> tuple[Chord, ...]:
    """The harmony of `score`: changes only, the first at tick 0, "N" where nothing sounds.

    Every symbol is one that a Chord and a Bass token say. A piece without bars has no chords.
    """
    segments = segment(score)
    if segments is None:
        return ()
    return name_chords(segments, best_path(chord_scores(segments), segments.levels))


@dataclass(frozen=True)
class Segments:
    """What sounds in each of n segments, pitch classes counted from the piece's lowest note.

    Attributes:
        starts: (n + 1,) borders in ticks, from 0.
        levels: (n,) BAR, HALF or BEAT.
        origin: the pitch of the lowest note.
        chroma: (n, 12) weight of each pitch class; a tone for a whole segment from its beat on weighs 2.
        bass: (n, 12) share of each pitch class in the bass; zeros where there is none.
    """

    starts: Array
    levels: Array
    origin: int
    chroma: Array
    bass: Array


def segment(score: Score) -> Segments | None:
    """Cut the piece into beats; None for a piece without bars."""
    starts, levels = _beats(score)
    n = len(levels)
    if n == 0:
        return None
    parts = [track.notes for track in score.tracks if not track.is_drum and len(track.notes)]
    if not parts:
        return Segments(starts, levels, 0, np.zeros((n, 12)), np.zeros((n, 12)))
    notes = np.concatenate(parts)
    begins, ends = notes["start"], notes["start"] + notes["duration"]
    first = np.searchsorted(starts, begins, side="right") - 1
    last = np.clip(np.searchsorted(starts, ends, side="left") - 1, first, n - 1)
    counts = last - first + 1
    # One row for each note in each segment in which it sounds.
    note = np.repeat(np.arange(len(notes)), counts)
    at = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + first[note]
    length = np.diff(starts)[at]
    share = (np.minimum(ends[note], starts[at + 1]) - np.maximum(begins[note], starts[at])) / length
    kept = share >= SLIVER
    note, at, length, share = note[kept], at[kept], length[kept], share[kept]
    late = begins[note] - starts[at]  # below 0: held over from the segment before
    weight = np.sqrt(share) * (1 + ONSET * (late >= 0) + ON_BEAT * (np.abs(late) < length / 16))
    origin = int(notes["pitch"].min())
    pitch = notes["pitch"].astype(np.int64)[note] - origin
    bass = _bass(at, pitch, weight, n)
    return Segments(starts, levels, origin, _per_class(at, pitch, weight, n), bass)


def _per_class(at: Array, pitch: Array, weight: Array, n: int) -> Array:
    """(n, 12) the weights summed by segment and pitch class."""
    return np.bincount(at * 12 + pitch % 12, weight, n * 12).reshape(n, 12)


def _bass(at: Array, pitch: Array, weight: Array, n: int) -> Array:
    lowest, highest = np.full(n, 128), np.zeros(n, np.int64)
    np.minimum.at(lowest, at, pitch)
    np.maximum.at(highest, at, pitch)
    low = (pitch == lowest[at]) & (highest[at] - lowest[at] >= BASS_SPREAD)
    bass = _per_class(at[low], pitch[low], weight[low], n)
    return np.asarray(bass / np.maximum(bass.sum(1, keepdims=True), 1e-9))


def _beats(score: Score) -> tuple[Array, Array]:
    """The borders of all segments (n + 1,) in ticks and the level of each (n,)."""
    bars = timing.bar_starts(score)
    starts: list[int] = []
    levels: list[int] = []
    for begin, end in zip(bars[:-1].tolist(), bars[1:].tolist(), strict=True):
        metre = timing.metre_at(score, begin)
        count, strong = _division(metre)
        for beat in range(count):
            tick = begin + beat * metre.ticks_per_bar(score.ticks_per_beat) // count
            if tick < end and (not starts or tick > starts[-1]):  # a short bar has fewer, as has a coarse resolution
                starts.append(tick)
                levels.append(BAR if beat == 0 else HALF if beat % strong == 0 else BEAT)
    return np.array([*starts, bars[-1]], np.int64), np.array(levels, np.int64)


def _division(metre: TimeSignature) -> tuple[int, int]:
    """Into how many segments a full bar falls, and every how many of them the level is HALF.

    Segments are quarters where the metre counts in longer notes, dotted beats where it is compound, else its beats.
    """
    if metre.denominator < 4:
        return metre.numerator * 4 // metre.denominator, 4 // metre.denominator
    compound = metre.denominator >= 8 and metre.numerator % 3 == 0
    count = metre.numerator // 3 if compound else metre.numerator
    return count, count // 2 if count % 2 == 0 else count


def chord_scores(segments: Segments) -> Array:
    """(n, 1 + S) how well each Chord value explains each segment."""
    tones, bass = _templates()
    amount = segments.chroma.sum(1)
    prior = _product(key_belief(segments), _in_key().T) - np.tile([_RARITY[quality] for quality in QUALITIES], 12)
    chords = _product(segments.chroma, tones) + BASS_WEIGHT * _product(segments.bass, bass)
    chords += prior * (amount > 0)[:, None]
    # Of "no chord" every tone is foreign, so it is for rests alone.
    none = np.where(amount > 0, amount * tones.min(), SILENCE)
    return np.concatenate([none[:, None], chords], axis=1)


def _product(a: Array, b: Array) -> Array:
    """`a` @ `b`.T, (n, k) and (m, k) to (n, m), without the threads of BLAS, which cost more here than they save."""
    return np.asarray(np.einsum("nk,mk->nm", a, b))


@cache
def _templates() -> tuple[Array, Array]:
    """(S, 12) the log-likelihood of each pitch class among the tones of a chord, and in its bass."""
    tones = np.full((len(QUALITIES), 12), FOREIGN)
    bass = np.full((len(QUALITIES), 12), BASS_OTHER)
    for row, quality in enumerate(QUALITIES):
        tones[row, list(CHORD_TONES[quality])] = 1
        bass[row, [0, CHORD_TONES[quality][1]]] = 1, BASS_THIRD
    tables = (np.log(table / table.sum(1, keepdims=True)) for table in (tones, bass))
    rooted = [np.concatenate([np.roll(table, root, axis=1) for root in range(12)]) for table in tables]
    return rooted[0], rooted[1]


def key_belief(segments: Segments) -> Array:
    """(n, 24) the probability of each key (tonics of major, then of minor) in the bars around each segment."""
    bar = np.cumsum(segments.levels == BAR) - 1
    by_bar = np.zeros((int(bar[-1]) + 1, 12))
    np.add.at(by_bar, bar, segments.chroma)
    reach = 3 * KEY_BARS
    kernel = np.exp(-np.abs(np.arange(-reach, reach + 1)) / KEY_BARS)
    around = np.stack([np.convolve(column, kernel)[reach:-reach] for column in by_bar.T], axis=1)
    around /= np.maximum(around.sum(1, keepdims=True), 1e-9)
    profiles = np.log(
        [np.roll(profile, tonic) / np.sum(profile) for profile in KEY_PROFILES.values() for tonic in range(12)]
    )
    fit = KEY_NOTES * _product(around, profiles)
    belief = np.exp(fit - fit.max(1, keepdims=True))
    return np.asarray((belief / belief.sum(1, keepdims=True))[bar])


@cache
def _in_key() -> Array:
    """(24, S) what each chord gains or loses in each key."""
    tables = []
    for scale in _SCALES:
        table = np.empty((12, len(QUALITIES)))  # roots as degrees above the tonic
        for root in range(12):
            foreign = [sum((root + tone) % 12 not in scale for tone in CHORD_TONES[quality]) for quality in QUALITIES]
            table[root] = [PRIMARY * (root in (0, 5, 7)) if not count else -KEY_COST * count for count in foreign]
        tables += [np.roll(table, tonic, axis=0).ravel() for tonic in range(12)]
    return np.stack(tables)


def best_path(scores: Array, levels: Array) -> Array:
    """(n,) the Chord values of the path with the best sum of `scores` (n, 1 + S) less what its changes cost."""
    n, states = scores.shape
    qualities = len(QUALITIES)
    group = np.concatenate(([0], 1 + np.arange(states - 1) // qualities))  # 0 for no chord, else 1 + root
    fifth_above = (np.arange(12) - 5) % 12
    first = 1 + qualities * np.arange(12)
    stays = np.empty((n, states), np.bool_)
    source = np.empty((n, 13), np.int64)  # from which state one comes that changes into each group
    gain = np.empty(13)
    best = scores[0]
    for at in range(1, n):
        top = best.argmax()
        above = (first + best[1:].reshape(12, qualities).argmax(1))[fifth_above]
        falls = best[above] + FIFTH_DOWN
        source[at, 0], gain[0] = top, best[top]
        source[at, 1:] = np.where(falls >= best[top], above, top)
        np.maximum(falls, best[top], out=gain[1:])
        moved = (gain - CHANGE_COSTS[levels[at]])[group]
        np.greater_equal(best, moved, out=stays[at])
        best = np.maximum(best, moved) + scores[at]
    path = np.empty(n, np.int64)
    path[-1] = best.argmax()
    for at in range(n - 1, 0, -1):
        state = path[at]
        path[at - 1] = state if stays[at, state] else source[at, group[state]]
    return path


def name_chords(segments: Segments, path: Array) -> tuple[Chord, ...]:
    """The symbols of a path of Chord values (n,), with the bass of each chord in each bar where it is clear."""
    begins = np.flatnonzero((np.diff(path, prepend=-1) != 0) | (segments.levels == BAR))
    chords: list[Chord] = []
    for at, bass in zip(begins.tolist(), np.add.reduceat(segments.bass, begins), strict=True):
        symbol = _symbol(int(path[at]), bass, segments.origin)
        if not chords or chords[-1].symbol != symbol:
            chords.append(Chord(int(segments.starts[at]), symbol))
    return tuple(chords)


def _symbol(value: int, bass: Array, origin: int) -> str:
    """The symbol at its true pitch; a slash for a chord tone that has more than BASS_CLEAR of the bass (12,)."""
    if value == NO_CHORD:
        return chord_symbol(NO_CHORD)
    root, quality = divmod(value - 1, len(QUALITIES))
    low = int(bass.argmax())
    clear = bass[low] > BASS_CLEAR * bass.sum() and (low - root) % 12 in CHORD_TONES[QUALITIES[quality]]
    true = 1 + (root + origin) % 12 * len(QUALITIES) + quality
    return chord_symbol(true, (low + origin) % 12 if clear and low != root else -1)
