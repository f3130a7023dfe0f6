"""A tune of ABC as a Score: repeats played out if wanted, bars and metres, ticks."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

from musegen.errors import FileFormatError
from musegen.score.formats.abc_repeats import played
from musegen.score.formats.abc_voice import Tune, Voice
from musegen.score.formats.barlines import metres, resolution_for
from musegen.score.formats.options import ReadOptions
from musegen.score.formats.parts import COMPOSER, MADE
from musegen.score.formats.sounds import join_ties, name_dropped, rows
from musegen.score.model import NOTE_DTYPE, Chord, KeySignature, Score, Tempo, Text, Track, frozen

DRUM_CHANNEL = 9
LAST_TICK = 2**31 - 1
LONGEST_TEMPO = 2**24 - 1

Stretches = list[tuple[Fraction, Fraction]]


def to_score(tune: Tune, warn: Callable[[str], None], options: ReadOptions) -> Score:
    """The Score of a tune that is read to its end.

    Raises:
        FileFormatError: if it is longer than the limits allow.
    """
    voices = [voice for voice in tune.voices.values() if voice.time > 0] or [Voice()]
    for voice in voices:
        voice.bars.append(voice.bar)
    leader = max(voices, key=lambda voice: voice.time)
    end = leader.time
    tempos, markers = tune.tempos, tune.markers
    if leader.repeats and options.repeats:
        order = played(leader.repeats, end)
        options.limits.check("bars", len(order))
        options.limits.check("notes", sum(len(voice.sounds) for voice in voices) * len(order))
        voices = [_unfolded(voice, order) for voice in voices]
        leader = max(voices, key=lambda voice: voice.time)
        tempos, markers, end = _repeated(tempos, order), _repeated(markers, order), leader.time
    elif leader.repeats:
        tune.dropped["repeat signs"] += sum(mark.kind != "ending" for mark in leader.repeats)
    starts = [*leader.bars, end] if leader.bars[-1] < end or len(leader.bars) == 1 else leader.bars
    for voice in voices:
        voice.sounds = join_ties(voice.sounds)
    resolution = _resolution(voices, [row[0] for row in (*tempos, *markers)] + starts)
    if end * resolution > LAST_TICK:
        raise FileFormatError(f"the tune lasts {float(end):.3g} quarters; no file can count so many ticks")

    def ticks(quarters: Fraction) -> int:
        return round(quarters * resolution)

    microseconds = [(ticks(time), round(60e6 / qpm)) for time, qpm in tempos]
    tune.dropped["tempi that MIDI cannot say"] += sum(not 0 < tempo <= LONGEST_TEMPO for _, tempo in microseconds)
    keys = next((voice.keys for voice in voices if voice.keys), [])
    chords = dict.fromkeys((ticks(time), symbol) for voice in voices for time, symbol in voice.chords)
    known = ((COMPOSER, tune.composer), (MADE, tune.made))
    score = Score(
        ticks_per_beat=resolution,
        tracks=tuple(_track(voice, ticks, resolution) for voice in voices),
        tempos=tuple(Tempo(time, tempo) for time, tempo in dict(microseconds).items() if 0 < tempo <= LONGEST_TEMPO),
        time_signatures=tuple(metres(starts, _at_bars(leader.metres, starts), ticks)),
        key_signatures=tuple(KeySignature(ticks(time), fifths, mode) for time, fifths, mode in keys),
        chords=tuple(Chord(*chord) for chord in chords),
        markers=tuple(Text(ticks(time), text) for time, text in markers),
        texts=tuple(Text(0, beginning + text) for beginning, text in known if text),
        title=tune.title,
        end=ticks(end),
    )
    options.limits.check("notes", score.n_notes)
    options.limits.check_length(score)
    name_dropped(tune.dropped, warn)
    return score


def _at_bars(changes: list[tuple[Fraction, int, int]], starts: list[Fraction]) -> list[tuple[Fraction, int, int]]:
    """Changes of metre at the bar lines where they take effect: one within a bar waits for the next."""
    result: dict[Fraction, tuple[int, int]] = {}
    for time, *metre in changes:
        place = bisect_right(starts, time)
        at = time if place and starts[place - 1] == time else starts[min(place, len(starts) - 1)]
        result[at] = (metre[0], metre[1])
    return [(at, *metre) for at, metre in sorted(result.items())]


def _resolution(voices: list[Voice], times: list[Fraction]) -> int:
    for voice in voices:
        for sound in voice.sounds:
            times += [sound.start, sound.end]
        tables: tuple[list[Any], ...] = (voice.chords, voice.keys, voice.lyrics)
        times += [row[0] for table in tables for row in table]
    return resolution_for(times)


def _track(voice: Voice, ticks: Callable[[Fraction], int], resolution: int) -> Track:
    return Track(
        notes=frozen(rows(voice.sounds, voice.dynamics, ticks, resolution), NOTE_DTYPE),
        program=voice.program or 0,
        is_drum=voice.channel == DRUM_CHANNEL,
        name=voice.name,
        channel=voice.channel,
        lyrics=tuple(Text(ticks(time), text) for time, text in voice.lyrics),
    )


# ---- repeats -------------------------------------------------------------------------------------------------


def _repeated(events: list[Any], order: Stretches) -> list[Any]:
    """Events (time, ...) as often as they are played."""
    result, now = [], Fraction(0)
    for start, stop in order:
        result += [(event[0] - start + now, *event[1:]) for event in events if start <= event[0] < stop]
        now += stop - start
    return result


def _restated(events: list[Any], order: Stretches) -> list[Any]:
    """Likewise, and what is in force where a stretch begins is said again where it changes."""
    result: list[Any] = []
    now = Fraction(0)
    for start, stop in order:
        before = [event for event in events if event[0] <= start][-1:]
        inside = [(event[0] - start + now, *event[1:]) for event in events if start < event[0] < stop]
        if before and (not result or result[-1][1:] != before[0][1:]):
            result.append((now, *before[0][1:]))
        result += inside
        now += stop - start
    return result


def _unfolded(voice: Voice, order: Stretches) -> Voice:
    """The voice as it is played."""
    sounds, bars, now = [], [], Fraction(0)
    for start, stop in order:
        shift = now - start
        sounds += [
            replace(sound, start=sound.start + shift, end=sound.end + shift)
            for sound in voice.sounds
            if start <= sound.start < stop
        ]
        bars += [bar + shift for bar in voice.bars if start <= bar < stop]
        now += stop - start
    return replace(
        voice,
        sounds=sounds,
        bars=sorted({Fraction(0), *bars}),
        time=now,
        metres=_restated(voice.metres, order),
        keys=_restated(voice.keys, order),
        chords=_repeated(voice.chords, order),
        lyrics=_repeated(voice.lyrics, order),
        dynamics=replace(voice.dynamics, marks=_restated(voice.dynamics.marks, order)),
    )
