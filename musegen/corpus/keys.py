"""Major or minor: what a key signature left open, told by the notes.

Many programs write "major" into every key signature, so that in their files a piece in D minor says F major. Models
trained on that would say so too.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from musegen.score.model import NOTE_DTYPE, KeySignature, Score
from musegen.score.theory import Key, key_fits

MIN_NOTES = 16
"""Fewer notes than these do not speak against what the file says."""


def with_modes(score: Score) -> Score:
    """The score with every major key made its relative minor where the notes speak for that.

    They do if the minor key's profile fits the lengths of the pitch classes better (`key_fits`), and the lowest note
    of the last onset is not the major key's tonic. Minor keys stay: nobody writes them by default.
    """
    if all(key.mode == "minor" for key in score.key_signatures):
        return score
    notes = np.concatenate([np.zeros(0, NOTE_DTYPE), *(track.notes for track in score.tracks if not track.is_drum)])
    ends = [*(key.time for key in score.key_signatures[1:]), score.end + 1]
    keys = [
        _with_mode(key, notes[(notes["start"] >= key.time) & (notes["start"] < end)])
        for key, end in zip(score.key_signatures, ends, strict=True)
    ]
    return replace(score, key_signatures=tuple(keys))


def _with_mode(signature: KeySignature, notes: np.ndarray[tuple[int], np.dtype[np.void]]) -> KeySignature:
    if signature.mode == "minor" or len(notes) < MIN_NOTES:
        return signature
    tonic = Key.from_signature(signature).tonic_pc
    fits = key_fits(np.bincount(notes["pitch"] % 12, notes["duration"], 12))
    last = int(notes["pitch"][notes["start"] == notes["start"].max()].min())
    is_minor = fits[12 + (tonic + 9) % 12] > fits[tonic] and last % 12 != tonic
    return replace(signature, mode="minor") if is_minor else signature
