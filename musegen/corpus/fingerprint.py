"""Find the same music again, in whatever key, metre or note lengths it is written.

A piece is read as its sequence of sonorities: the set of sounding pitches at each onset, equal neighbours
merged (so a held and a repeated note look alike). Its fingerprint is the set of n-grams of sonorities, each
counted in semitones from the bass of its first sonority. Two pieces are compared by containment,
|A and B| / min(|A|, |B|), as Broder (1997) does for documents.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from musegen.score.model import Score

Fingerprint = frozenset[int]

TEXTURE_GRAM = 5
"""Sonorities in an n-gram where several voices sound: five chords in a row are a phrase's fabric, not a cadence."""
MELODY_GRAM = 12
"""Notes in an n-gram of a single line, which says less a sonority."""


def sonorities(score: Score) -> list[tuple[int, ...]]:
    """Sorted sets of sounding pitches at each onset, equal neighbours merged; drums are left out."""
    notes = [track.notes for track in score.tracks if len(track.notes) and not track.is_drum]
    if not notes:
        return []
    start = np.concatenate([n["start"] for n in notes])
    pitch = np.concatenate([n["pitch"] for n in notes])
    end = start + np.concatenate([n["duration"] for n in notes])
    merged: list[tuple[int, ...]] = []
    for time in np.unique(start):
        sonority = tuple(np.unique(pitch[(start <= time) & (time < end)]).tolist())
        if not merged or merged[-1] != sonority:
            merged.append(sonority)
    return merged


def fingerprint(score: Score) -> Fingerprint:
    """The set of hashed transposition-invariant n-grams; empty for a piece shorter than one n-gram."""
    sequence = sonorities(score)
    if not sequence:
        return frozenset()
    single_line = sum(map(len, sequence)) < 1.5 * len(sequence)
    n = MELODY_GRAM if single_line else TEXTURE_GRAM
    grams = set()
    for i in range(len(sequence) - n + 1):
        origin = sequence[i][0]
        grams.add(hash(tuple(tuple(p - origin for p in chord) for chord in sequence[i : i + n])))
    return frozenset(grams)


def exact_key(score: Score) -> int:
    """A hash equal for pieces with the same notes (times in beats, pitches up to a transposition)."""
    notes = [track.notes for track in score.tracks if len(track.notes)]
    rows = sorted(
        (int(s) * 960 // score.ticks_per_beat, int(d) * 960 // score.ticks_per_beat, int(p))
        for n in notes
        for s, d, p in zip(n["start"], n["duration"], n["pitch"], strict=True)
    )
    lowest = min((row[2] for row in rows), default=0)
    return hash(tuple((s, d, p - lowest) for s, d, p in rows))


@dataclass
class FingerprintIndex:
    """Fingerprints by n-gram, to be asked which of them a piece resembles most."""

    _sizes: dict[str, int] = field(default_factory=dict)
    _owners: defaultdict[int, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, name: str, grams: Fingerprint) -> None:
        """Put one piece in; pieces without an n-gram can never be found and are left out."""
        if not grams:
            return
        self._sizes[name] = len(grams)
        for gram in grams:
            self._owners[gram].append(name)

    def closest(self, grams: Fingerprint, *, min_shared: int = 6) -> tuple[str, float]:
        """The most similar piece and its containment (0..1); ("", 0.0) when nothing shares `min_shared` n-grams."""
        shared: Counter[str] = Counter()
        for gram in grams:
            shared.update(self._owners.get(gram, ()))
        best = ("", 0.0)
        for name, count in sorted(shared.items()):
            containment = count / min(len(grams), self._sizes[name])
            if count >= min_shared and containment > best[1]:
                best = (name, containment)
        return best


def index_of(pieces: Iterable[tuple[str, Fingerprint]]) -> FingerprintIndex:
    """An index of named fingerprints."""
    index = FingerprintIndex()
    for name, grams in pieces:
        index.add(name, grams)
    return index
