"""Find the same music again, in whatever key, tempo, metre or note lengths it is written.

A piece is read as two sequences of sets of pitches, one set at each onset: all that sounds there, equal neighbours
merged (so a held and a repeated note look alike), and what begins there (so that lengths do not matter). Its
fingerprint is the set of n-grams of both, each counted in semitones from the bass of its first set. Two pieces are
compared by containment, |A and B| / min(|A|, |B|), as Broder (1997) does for documents, so that repeats played out
or left out change nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from musegen.score.model import Array, Score

Fingerprint = npt.NDArray[np.uint64]
"""Hashes of n-grams, sorted, each once."""

TEXTURE_GRAM = 5
"""Sets in an n-gram where several voices sound: five chords in a row are a phrase's fabric, not a cadence."""
MELODY_GRAM = 12
"""Notes in an n-gram of a single line, which says less a set."""
MIN_PITCHES = 4
"""An n-gram with fewer different pitches is a tremolo or a held chord, which any two pieces may share."""

_RANDOM = np.random.Generator(np.random.PCG64(1997)).integers(1, 2**63, 128, np.uint64) | np.uint64(1)
_ODD = np.uint64(0x9E3779B97F4A7C15)
_NONE: Fingerprint = np.zeros(0, np.uint64)


def sonorities(score: Score, *, held: bool = True) -> npt.NDArray[np.bool_]:
    """(S, 128) which pitches sound at each onset, equal neighbours merged; with `held` off, which begin there.

    Drums are left out.
    """
    notes = [track.notes for track in score.tracks if len(track.notes) and not track.is_drum]
    if not notes:
        return np.zeros((0, 128), np.bool_)
    rows = np.concatenate(notes)
    times, first = np.unique(rows["start"], return_inverse=True)
    if held:
        after = np.maximum(np.searchsorted(times, rows["start"] + rows["duration"]), first + 1)
        change = np.zeros((len(times) + 1, 128), np.int16)
        np.add.at(change, (first, rows["pitch"]), 1)
        np.add.at(change, (after, rows["pitch"]), -1)
        sounding = np.cumsum(change[:-1], axis=0, dtype=np.int16) > 0
    else:
        sounding = np.zeros((len(times), 128), np.bool_)
        sounding[first, rows["pitch"]] = True
    new = np.ones(len(times), np.bool_)
    new[1:] = (sounding[1:] != sounding[:-1]).any(axis=1)
    return sounding[new]


def fingerprint(score: Score) -> Fingerprint:
    """The hashed transposition-invariant n-grams; empty for a piece shorter than one n-gram, and for drums."""
    sounding = sonorities(score)
    if not len(sounding):
        return _NONE
    if int(sounding.sum()) < 1.5 * len(sounding):
        return _grams(sounding, MELODY_GRAM)
    return np.union1d(_grams(sounding, TEXTURE_GRAM), _grams(sonorities(score, held=False), TEXTURE_GRAM))


def _grams(sets: npt.NDArray[np.bool_], n: int) -> Fingerprint:
    """Hashes of all runs of n sets, but those of fewer than MIN_PITCHES pitches."""
    count = len(sets) - n + 1
    if count < 1:
        return _NONE
    bass = sets.argmax(axis=1)
    where, pitch = np.nonzero(sets)
    starts = np.searchsorted(where, np.arange(len(sets)))
    shape = np.add.reduceat(_RANDOM[pitch - bass[where]], starts)
    running = np.concatenate([np.zeros((1, 128), np.int32), np.cumsum(sets, axis=0, dtype=np.int32)])
    varied = ((running[n:] - running[:-n]) > 0).sum(axis=1) >= MIN_PITCHES
    hashed = np.zeros(count, np.uint64)
    for k in range(n):
        step = (bass[k : k + count] - bass[:count] + 128).astype(np.uint64)
        hashed = (hashed ^ shape[k : k + count] ^ step) * _ODD  # wraps around, as it should
        hashed ^= hashed >> np.uint64(29)
    return np.unique(hashed[varied])


def exact_key(score: Score) -> str:
    """A short text equal for pieces with the same notes: onsets in beats, any tempo, unit, key and note lengths."""
    notes = [(track.notes, track.is_drum) for track in score.tracks if len(track.notes)]
    if not notes:
        return ""
    start = np.concatenate([n["start"] for n, _ in notes]) * 960 // score.ticks_per_beat
    pitch = np.concatenate([n["pitch"] + 1000 * drums for n, drums in notes]).astype(np.int64)
    start -= start.min()
    start //= max(1, int(np.gcd.reduce(start)))
    pitched = pitch < 1000
    pitch[pitched] -= pitch[pitched].min(initial=1000)
    rows = np.stack([start, pitch])[:, np.lexsort((pitch, start))]
    return hashlib.blake2b(rows.astype("<i8").tobytes(), digest_size=12).hexdigest()


@dataclass(frozen=True, eq=False)
class FingerprintIndex:
    """Fingerprints to be asked which of them a piece resembles most: n-grams sorted, the owner of each."""

    names: tuple[str, ...]
    sizes: Array
    grams: Fingerprint
    owners: Array

    def closest(self, grams: Fingerprint, *, min_shared: int = 6) -> tuple[str, float]:
        """The most similar piece and its containment (0..1); ("", 0.0) when nothing shares `min_shared` n-grams."""
        first = np.searchsorted(self.grams, grams)
        found = np.searchsorted(self.grams, grams, side="right") - first
        within = np.arange(found.sum()) - np.repeat(np.cumsum(found) - found, found)
        shared = np.bincount(self.owners[np.repeat(first, found) + within], minlength=len(self.names))
        if not len(shared) or shared.max() < min_shared:
            return "", 0.0
        share = np.where(shared >= min_shared, shared / np.maximum(1, np.minimum(self.sizes, len(grams))), 0.0)
        best = int(share.argmax())
        return self.names[best], float(share[best])


def index_of(pieces: Sequence[tuple[str, Fingerprint]]) -> FingerprintIndex:
    """An index of named fingerprints; those without an n-gram can never be found."""
    sizes = np.array([len(grams) for _, grams in pieces], np.int64)
    grams = np.concatenate([_NONE, *(grams for _, grams in pieces)])
    order = np.argsort(grams, kind="stable")
    owners = np.repeat(np.arange(len(pieces)), sizes)[order]
    return FingerprintIndex(tuple(name for name, _ in pieces), sizes, grams[order], owners)
