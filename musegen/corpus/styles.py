"""The style of a piece from its tracks: what plays tells song from piano from quartet."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from musegen.score.model import Score, Track

_PIANOS = range(8)
_PROGRAMS = (
    ("keyboard", _PIANOS),
    ("organ", range(16, 24)),
    ("guitar", range(24, 32)),
    ("strings", range(40, 46)),
    ("voice", range(52, 55)),
    ("folk", range(104, 112)),
)
"""Kinds of General MIDI programs; all others are "other"."""

_WORDS = {
    "orchestra": r"orchestra|symphon",
    "choir": r"satb|ttbb|ssaa|choir|chorus|ch[oó]r\b",
    "voice": r"voice|voce|vocal|canto|śpiew|spiew|głos|glos|gesang|singer|sopran|\balt(o|us)\b|\bteno[rn]|baryton|"
    r"baritone|cantus|chant|\bbass?[oi]?( i| 1)?$",
    "organ": r"organ(o|y|s|um)?\b|orgel",
    "keyboard": r"pian|fortep|harpsi|clavi|cembalo|klav",
    "guitar": r"guitar|\blute|gitar|chitarr",
    "strings": r"violin|viola|cello|string|skrzyp|contrabass|violon",
    "other": r"flut|flaut|oboe|clarinet|fag|bassoon|corn[oiu]\b|horn|trump|tromb|trio\b|recorder|percussion|bells",
}
"""What names of tracks and instruments say, the first that fits first."""

_GENERIC = frozenset({0, 73, 52})
"""Programs that a conversion gives to what it does not know; there a track's name counts for more."""


def style_of(score: Score, tags: Iterable[str] = ()) -> str:
    """One of tokens.vocabulary.STYLES, by the tracks with notes and the manifest's `tags` (inst=..., AGN=...)."""
    tracks = [track for track in score.tracks if len(track.notes)]
    kinds = Counter(kind_of(track) for track in tracks)
    said = _said(tags)
    n = len(tracks)
    if n and kinds["drums"] == n:
        return "drums"
    if n > 8 or "orchestra" in said:
        return "orchestra"
    if said == {"organ"}:
        return "organ"
    if said == {"keyboard"} and all(track.program in _PIANOS for track in tracks):
        return "piano"
    if said & {"voice", "choir"} and not kinds["voice"]:  # staves of keyboard sound that are sung
        sung = max(1, n - 2) if kinds["keyboard"] == n and "choir" not in said else n
        kinds = Counter(voice=sung, keyboard=n - sung)
    return _by_kinds(kinds, n, choir="choir" in said)


def _by_kinds(kinds: Counter[str], n: int, *, choir: bool) -> str:
    if kinds["voice"]:
        plays = kinds["keyboard"] + kinds["organ"] + kinds["guitar"]
        alone = kinds["voice"] == n
        if choir or kinds["voice"] > 2 or (alone and n > 1):
            return "choir"
        return "song" if alone or plays else "chamber"
    if kinds["organ"] and kinds["organ"] + kinds["keyboard"] == n:  # a staff of an organ piece without its name
        return "organ"
    for kind, style in (("keyboard", "piano"), ("guitar", "guitar"), ("folk", "folk")):
        if kinds[kind] == n:
            return style
    return "quartet" if kinds["strings"] == n == 4 else "chamber"


def kind_of(track: Track) -> str:
    """What plays a track, one of the kinds above or "drums": by its program, or by its name if that says little."""
    if track.is_drum:
        return "drums"
    named = _named(track.name)
    if named and (track.program in _GENERIC or named == "organ"):
        return "voice" if named == "choir" else named
    return next((kind for kind, programs in _PROGRAMS if track.program in programs), "other")


def _named(text: str) -> str | None:
    text = text.lower()
    return next((kind for kind, words in _WORDS.items() if re.search(words, text)), None)


def _said(tags: Iterable[str]) -> set[str]:
    """Kinds of instruments that the tags name."""
    found = set[str]()
    for tag in tags:
        key, _, value = tag.partition("=")
        if key == "inst":
            found |= {kind for kind, words in _WORDS.items() if re.search(words, value.lower())}
        elif "song" in (key.lower(), value.lower()):  # an AGN genre of Humdrum files
            found.add("voice")
    return found
