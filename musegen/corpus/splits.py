"""Which split each piece stands in, and which pieces leave because their music stands elsewhere.

A manifest's split is obeyed. Elsewhere the least of a piece's n-grams decides, which two versions of a work share and
which no other piece can change. Where one work still stands in two splits, it stays where it measures: valid gives
way to test, train to both and to what is excluded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from musegen.corpus.fingerprint import FingerprintIndex, index_of
from musegen.corpus.manifest import Row
from musegen.corpus.prepared import Prepared


@dataclass(frozen=True)
class Shares:
    """How pieces are shared out whose notes tell their split: percent of the works in valid and in test."""

    valid: int = 5
    test: int = 5
    some_valid: bool = False
    """Whether one work goes to valid where none would."""


@dataclass(frozen=True)
class Match:
    """A held-out piece that a piece is again: its name and the containment, 0 to 1."""

    name: str
    share: float


@dataclass
class Decisions:
    """For each piece its split and why it is left out ("" for kept); for those that leaked, what they are again."""

    splits: list[str]
    reasons: list[str]
    leaks: dict[str, Match] = field(default_factory=dict)


def decide(
    rows: Sequence[Row],
    prepared: Sequence[Prepared],
    excluded: Sequence[tuple[Row, Prepared]],
    same_piece: float,
    shares: Shares,
) -> Decisions:
    """Decide for all rows; pieces of `excluded` keep others out of train. From `same_piece` on two are one work."""
    result = Decisions([row.split or split_of(p, shares) for row, p in zip(rows, prepared, strict=True)], [])
    seen = set[tuple[str, str]]()
    for split, p in zip(result.splits, prepared, strict=True):
        again = p.piece is not None and (split, p.key) in seen
        result.reasons.append("the same notes as an earlier piece" if again else p.reason)
        seen.add((split, p.key))
    if shares.some_valid:
        _hold_one_out(rows, prepared, result)
    held_out = _HeldOut([])
    for split in ("test", "valid", "train"):
        if split == "train":
            held_out = held_out.more([(row.name, p) for row, p in excluded])
        kept = [i for i, own in enumerate(result.splits) if own == split and not result.reasons[i]]
        for i in kept:
            match = held_out.closest(prepared[i])
            if match.share >= same_piece:
                outside = {row.name: row.source for row, _ in excluded}
                where = outside.get(match.name, "our own")
                result.reasons[i] = f"in {split}, but the music of a held-out piece ({where})"
                result.leaks[rows[i].name] = match
        held_out = held_out.more([(rows[i].name, prepared[i]) for i in kept if not result.reasons[i]])
    return result


def _hold_one_out(rows: Sequence[Row], prepared: Sequence[Prepared], result: Decisions) -> None:
    """Where nothing is in valid, move there the piece of train whose notes are first by their hash."""
    kept = [i for i, reason in enumerate(result.reasons) if not reason]
    free = [i for i in kept if result.splits[i] == "train" and not rows[i].split]
    if free and not any(result.splits[i] == "valid" for i in kept):
        result.splits[min(free, key=lambda i: (_hash_of(prepared[i]), i))] = "valid"


def split_of(prepared: Prepared, shares: Shares) -> str:
    """The split that a piece's notes tell."""
    percent = _hash_of(prepared) % 100
    return "test" if percent < shares.test else "valid" if percent < shares.test + shares.valid else "train"


def _hash_of(prepared: Prepared) -> int:
    """A number below 2^32, the same for all versions of a work and evenly spread over works."""
    said = str(prepared.grams.min()) if len(prepared.grams) else prepared.key
    return int.from_bytes(hashlib.blake2b(said.encode(), digest_size=4).digest(), "little")


class _HeldOut:
    """Pieces that others must not be."""

    def __init__(self, pieces: Sequence[tuple[str, Prepared]]) -> None:
        self.pieces = pieces
        self.by_key = {p.key: name for name, p in reversed(pieces)}
        self.index: FingerprintIndex = index_of([(name, p.grams) for name, p in pieces])

    def more(self, pieces: Sequence[tuple[str, Prepared]]) -> _HeldOut:
        """These and others."""
        return _HeldOut([*self.pieces, *pieces])

    def closest(self, prepared: Prepared) -> Match:
        """The one that resembles a piece most; equal notes tell those too short or too drummed for n-grams."""
        if prepared.key in self.by_key:
            return Match(self.by_key[prepared.key], 1.0)
        return Match(*self.index.closest(prepared.grams))
