"""From the tokens' bare notes to a piece one would keep: names, exact tempo, accents, the motif, where it came from."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np

from musegen import __version__
from musegen.compose.request import Request
from musegen.score import timing
from musegen.score.formats.parts import MADE
from musegen.score.instruments import PROGRAM_NAMES
from musegen.score.model import NOTE_DTYPE, Array, Score, Tempo, Text, Track, frozen
from musegen.score.ops import map_times
from musegen.score.theory import Key

_ACCENTS = (10, 3, -4)
"""What is added to the velocity on the first beat of a bar, on the other beats, and between them: the sources that
the model learned from have no dynamics of their own."""


def finish(score: Score, request: Request) -> Score:
    """A new piece as the request wants it, from what the tokens said."""
    score = accented(score)
    if request.motif is not None:
        score = with_motif(score, request.motif)
    if request.tempo is not None:
        score = replace(score, tempos=(Tempo(0, round(60e6 / request.tempo)),))
    return replace(score, tracks=named(score.tracks), title=request.title or _title(score, request))


def signed(score: Score, request: Request, model: str, checksum: str, redraws: int = 0) -> Score:
    """The score with what made it: the model, the seed and the command."""
    made: dict[str, object] = {"model": model, "checksum": checksum, "seed": request.seed}
    if request.max_copy is not None:
        made |= {"max_copy": request.max_copy, "redraws": redraws}
    if request.made_with:
        made["command"] = request.made_with
    return stamped(score, made)


def stamped(score: Score, made: dict[str, object]) -> Score:
    """The score with a text event that says how it was made; an older one of ours goes."""
    texts = tuple(text for text in score.texts if not text.text.startswith(MADE))
    record = {"version": __version__, **made}
    return replace(score, texts=(*texts, Text(0, MADE + json.dumps(record, sort_keys=True, ensure_ascii=True))))


def accented(score: Score) -> Score:
    """Notes on the first beat of a bar louder, between the beats softer, where a track knows but one velocity."""
    lines = timing.bar_starts(score)

    def play(track: Track) -> Track:
        if track.is_drum or len(np.unique(track.notes["velocity"])) != 1:
            return track
        notes = track.notes.copy()
        bar = np.clip(np.searchsorted(lines, notes["start"], side="right") - 1, 0, len(lines) - 2)
        beats = np.array([_beat(score, int(line)) for line in lines[:-1]])
        position = notes["start"] - lines[bar]
        grade = np.where(position == 0, 0, np.where(position % beats[bar] == 0, 1, 2))
        notes["velocity"] = np.clip(notes["velocity"] + np.array(_ACCENTS)[grade], 1, 127)
        return replace(track, notes=notes)

    return score.with_tracks(play(track) for track in score.tracks)


def _beat(score: Score, tick: int) -> int:
    """Ticks a felt beat: three eighths in 6/8, 9/8 and 12/8, else the denominator's note."""
    metre = timing.metre_at(score, tick)
    one = 4 * score.ticks_per_beat // metre.denominator
    return 3 * one if metre.denominator >= 8 and metre.numerator % 3 == 0 and metre.numerator > 3 else one


def with_motif(score: Score, motif: Score) -> Score:
    """The score with the motif's own notes at the head of the first track, instead of their image on the grid."""
    motif = rescaled(motif, score.ticks_per_beat)
    first, *others = score.tracks
    line = melody(motif)
    own = first.notes[first.notes["start"] >= motif.end]
    return score.with_tracks([replace(first, notes=joined(line, own)), *others])


def melody(motif: Score) -> Array:
    """The notes of the one track that has any."""
    return next(track.notes for track in motif.tracks if len(track.notes))


def rescaled(score: Score, ticks_per_beat: int) -> Score:
    """The same times at another resolution, each to its nearest tick."""
    old = score.ticks_per_beat
    if old == ticks_per_beat:
        return score
    return map_times(score, lambda ticks: (2 * ticks * ticks_per_beat + old) // (2 * old), ticks_per_beat)


def joined(*notes: Array) -> Array:
    """Note arrays as one."""
    return frozen(np.concatenate(notes), NOTE_DTYPE)


def named(tracks: tuple[Track, ...]) -> tuple[Track, ...]:
    """The tracks with names after their instruments, numbered where there are several of one."""
    names = ["Drums" if track.is_drum else PROGRAM_NAMES[track.program] for track in tracks]
    voices = ("Soprano", "Alto", "Tenor", "Bass")
    if [track.program for track in tracks] == [52] * 4:
        names = list(voices)
    numbered = [
        f"{name} {names[:i].count(name) + 1}" if names.count(name) > 1 else name for i, name in enumerate(names)
    ]
    return tuple(replace(track, name=name) for track, name in zip(tracks, numbered, strict=True))


def _title(score: Score, request: Request) -> str:
    key = timing.key_at(score, 0)
    words = [
        request.style or "piece",
        f"in {Key.from_signature(key).name}" if key else "",
        f"no. {request.seed}",
    ]
    title = " ".join(word for word in words if word)
    return title[0].upper() + title[1:]
