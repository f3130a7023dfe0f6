"""Notes -> chords in voices: what begins and ends together is one chord, what overlaps goes to different voices."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

MAX_VOICES = 4


@dataclass(frozen=True)
class Chord:
    """Notes (their indices in the track) that sound together from `start` to `stop`, in units.

    A note may go on in a later chord: then the two are tied.
    """

    start: int
    stop: int
    notes: tuple[int, ...]


def voices_of(starts: Sequence[int], stops: Sequence[int], pitches: Sequence[int]) -> list[list[Chord]]:
    """The chords of each voice, in order, none of them overlapping; one voice at least, four at most.

    Notes of no length are left out. The upper voice comes first. Where more than four voices would be needed, notes
    of one voice are cut where others begin or end; every note still sounds from its start to its stop.
    """
    voices: list[list[Chord]] = [[]]
    for group in _stretches(_chords(starts, stops, pitches)):
        for number, chords in enumerate(_separate(group, pitches)):
            if number == len(voices):
                voices.append([])
            voices[number].extend(chords)
    return voices


def _chords(starts: Sequence[int], stops: Sequence[int], pitches: Sequence[int]) -> list[Chord]:
    """Notes of equal start and stop as one chord; a pitch that is there twice makes a second one."""
    found: dict[tuple[int, int, int], list[int]] = {}
    seen: dict[tuple[int, int, int], int] = {}
    for index, (start, stop, pitch) in enumerate(zip(starts, stops, pitches, strict=True)):
        if start < stop:
            copy = seen.get((start, stop, pitch), 0)
            seen[start, stop, pitch] = copy + 1
            found.setdefault((start, stop, copy), []).append(index)
    chords = (Chord(start, stop, tuple(notes)) for (start, stop, _), notes in found.items())
    return sorted(chords, key=lambda chord: (chord.start, -max(pitches[note] for note in chord.notes), chord.stop))


def _stretches(chords: Sequence[Chord]) -> list[list[Chord]]:
    """The chords parted wherever none of them sounds on."""
    groups: list[list[Chord]] = []
    end = -1
    for chord in chords:
        if chord.start >= end:
            groups.append([])
        groups[-1].append(chord)
        end = max(end, chord.stop)
    return groups


def _separate(group: Sequence[Chord], pitches: Sequence[int]) -> list[list[Chord]]:
    """The chords of one stretch in voices, the highest first."""
    if len(group) == 1:
        return [list(group)]
    desk = _Desk(group, pitches)
    desk.assign()
    return sorted((voice for voice in desk.voices if voice), key=desk.height, reverse=True)


class _Desk:
    """Gives the chords of a stretch to voices, one moment after the other."""

    def __init__(self, group: Sequence[Chord], pitches: Sequence[int]) -> None:
        self._pitches = pitches
        self._waiting = [(chord.start, order, chord) for order, chord in enumerate(group)]
        self._order = len(group)
        self._reserved: dict[tuple[int, int], Chord] = {}
        self.voices: list[list[Chord]] = []

    def assign(self) -> None:
        """Empty the queue."""
        while self._waiting:
            now = self._waiting[0][0]
            group = []
            while self._waiting and self._waiting[0][0] == now:
                group.append(heapq.heappop(self._waiting)[2])
            for number in range(len(self.voices)):  # what was cut goes on in its voice
                rest = self._reserved.pop((now, number), None)
                if rest is not None and rest in group and self.voices[number][-1].stop <= now:
                    group.remove(rest)
                    self.voices[number].append(rest)
            self._place(now, sorted(group, key=self._top, reverse=True))

    def height(self, voice: Sequence[Chord]) -> float:
        """The mean pitch of a voice, every unit of time alike."""
        length = sum(chord.stop - chord.start for chord in voice)
        return sum((chord.stop - chord.start) * self._middle(chord) for chord in voice) / length

    def _top(self, chord: Chord) -> int:
        return max(self._pitches[note] for note in chord.notes)

    def _middle(self, chord: Chord) -> float:
        return sum(self._pitches[note] for note in chord.notes) / len(chord.notes)

    def _place(self, now: int, group: list[Chord]) -> None:
        """Give the chords that begin now, the highest first, to free voices, then to new ones, then to full ones."""
        free = [number for number, voice in enumerate(self.voices) if voice[-1].stop <= now]
        free.sort(key=lambda number: self._middle(self.voices[number][-1]), reverse=True)
        opened = min(max(0, len(group) - len(free)), MAX_VOICES - len(self.voices))
        first = self._nearest(group, free) if len(group) < len(free) else free
        placed = group[: len(first)]
        for chord, number in zip(placed, first, strict=True):
            self.voices[number].append(chord)
        left = group[len(placed) :]
        for chord in left[:opened]:
            self.voices.append([chord])
        for chord in left[opened:]:
            self._squeeze(now, chord)

    def _nearest(self, group: Sequence[Chord], free: Sequence[int]) -> tuple[int, ...]:
        """The free voices whose last chords lie nearest, in the order of the chords."""

        def leap(chosen: tuple[int, ...]) -> float:
            pairs = zip(group, chosen, strict=True)
            return sum(abs(self._middle(chord) - self._middle(self.voices[number][-1])) for chord, number in pairs)

        return min(combinations(free, len(group)), key=leap)

    def _squeeze(self, now: int, chord: Chord) -> None:
        """Put a chord into a voice that still sounds: what overlaps becomes one chord, the rest follows, tied."""
        own = {self._pitches[note] for note in chord.notes}

        def unfit(number: int) -> tuple[int, bool, int]:
            current = self.voices[number][-1]
            shared = sum(self._pitches[note] in own for note in current.notes)
            return shared, current.start == now and current.stop != chord.stop, abs(current.stop - chord.stop)

        number = min(range(len(self.voices)), key=unfit)
        current = self.voices[number].pop()
        if current.start < now:
            self.voices[number].append(Chord(current.start, now, current.notes))
        stop = min(current.stop, chord.stop)
        if chord.stop > current.stop:  # the rest of an earlier cut finds a voice for itself
            self._reserved.pop((current.stop, number), None)
        self.voices[number].append(Chord(now, stop, current.notes + chord.notes))
        longer = current if current.stop > stop else chord
        if longer.stop > stop:
            rest = Chord(stop, longer.stop, longer.notes)
            heapq.heappush(self._waiting, (stop, self._order, rest))
            self._order += 1
            self._reserved[stop, number] = rest
