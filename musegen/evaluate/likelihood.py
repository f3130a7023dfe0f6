"""Held-out likelihood: what a model spends on music that it has not seen.

Conventions: the natural-log loss of all tokens after the head (bars, positions and the end among them), summed over
the pieces, in two units: nats per note, and bits per second of music at the piece's own tempo, so that neither
depends on how many tokens a note takes. The head (style, metre, key, tempo, number of bars, density, range,
instruments) is given, not charged. A piece longer than the context is read in windows of its head and whole bars;
every token is charged exactly once. What tokens do not hold (dynamics finer than theirs, the grid's rounding) is
not measured.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from musegen.errors import RequestError

Array = npt.NDArray[Any]

Sequences = Sequence[tuple[Array, Array]]
"""(ids (T,), attributes (T, A)) each."""

Scorer = Callable[[Sequences], list[Array]]
"""For each sequence the loss in nats of its tokens 1 .. T - 1, (T - 1,), each given all tokens before it."""


class EncodedPiece(Protocol):
    """What is needed of a piece."""

    @property
    def ids(self) -> Array:
        """(T,) tokens."""
        ...

    @property
    def attributes(self) -> Array:
        """(T, A), what the tokenizer derives from them."""
        ...

    @property
    def bars(self) -> Array:
        """Indices of the Bar tokens."""
        ...

    @property
    def n_notes(self) -> int:
        """How many notes it has."""
        ...

    @property
    def source(self) -> str:
        """Where it comes from."""
        ...

    @property
    def seconds(self) -> float:
        """How long it plays."""
        ...


@dataclass(frozen=True)
class Window:
    """The head and the tokens `start` to `stop - 1` of a piece; those from `charged` on count here."""

    start: int
    charged: int
    stop: int


@dataclass(frozen=True)
class Likelihood:
    """Sums over pieces: nats, tokens charged, notes, and seconds of music."""

    nats: float
    tokens: int
    notes: int
    pieces: int
    seconds: float

    @property
    def nats_per_note(self) -> float:
        """The figure to steer by."""
        return self.nats / max(1, self.notes)

    @property
    def bits_per_second(self) -> float:
        """Bits a second of music; NaN where the pieces last no time."""
        return self.nats / math.log(2) / self.seconds if self.seconds > 0 else math.nan


def windows(bars: Array, length: int, context: int) -> list[Window]:
    """Cover a piece of `length` tokens with windows of at most `context`, each the head and whole bars.

    The first window takes all bars that fit. Each later one charges as many new bars as fill a quarter of the
    context (one at least) and takes earlier bars as left context while they fit. A bar that does not fit beside the
    head is cut at the context.

    Raises:
        RequestError: if the head alone fills the context.
    """
    head = int(bars[0])
    room = context - head
    if room < 2:
        raise RequestError(f"a head of {head} tokens leaves no room in a context of {context}")
    edges = np.append(np.asarray(bars, np.int64), length)
    covered, result = head, []
    while covered < length:
        budget = room if covered == head else max(1, room // 4)
        stop = _last_edge(edges, covered, budget)
        if stop is None:  # the next bar alone is larger than the budget: all of it if it fits, else what fits
            following = int(edges[np.searchsorted(edges, covered, side="right")])
            stop = min(following, covered + room)
        earlier = edges[edges >= stop - room]
        start = min(int(earlier[0]), covered) if len(earlier) else covered
        result.append(Window(start, covered, stop))
        covered = stop
    return result


def _last_edge(edges: Array, start: int, budget: int) -> int | None:
    """The last bar line within `budget` tokens after `start`, if there is one."""
    within = edges[(edges > start) & (edges <= start + budget)]
    return int(within[-1]) if len(within) else None


def validate(pieces: Sequence[EncodedPiece]) -> None:
    """Raise RequestError if there is nothing to measure."""
    if not any(piece.n_notes for piece in pieces):
        raise RequestError("no held-out pieces: these shards have none in that split")


def piece_losses(scorer: Scorer, pieces: Sequence[EncodedPiece], context: int) -> list[tuple[float, int]]:
    """(nats, tokens charged) of each piece."""
    sequences, owners = [], []
    for index, piece in enumerate(pieces):
        head = int(piece.bars[0])
        for w in windows(piece.bars, len(piece.ids), context):
            take = np.r_[0:head, w.start : w.stop]
            sequences.append((piece.ids[take], piece.attributes[take]))
            owners.append((index, w.stop - w.charged))
    nats = np.zeros(len(pieces))
    tokens = np.zeros(len(pieces), np.int64)
    for (index, charged), losses in zip(owners, scorer(sequences), strict=True):
        nats[index] += float(np.sum(losses[len(losses) - charged :], dtype=np.float64))
        tokens[index] += charged
    return list(zip(nats.tolist(), tokens.tolist(), strict=True))


def evaluate(scorer: Scorer, pieces: Iterable[EncodedPiece], context: int) -> dict[str, Likelihood]:
    """Likelihood of each source by name, and of all pieces as "all".

    Raises:
        RequestError: if the pieces hold no note.
    """
    pieces = list(pieces)
    validate(pieces)
    groups: defaultdict[str, list[tuple[float, int, int, float]]] = defaultdict(list)
    for piece, (nats, tokens) in zip(pieces, piece_losses(scorer, pieces, context), strict=True):
        for name in (piece.source, "all"):
            groups[name].append((nats, tokens, piece.n_notes, piece.seconds))
    return {name: _total(rows) for name, rows in sorted(groups.items(), key=lambda kv: (kv[0] == "all", kv[0]))}


def _total(rows: Sequence[tuple[float, int, int, float]]) -> Likelihood:
    nats, tokens, notes, seconds = (sum(column) for column in zip(*rows, strict=True))
    return Likelihood(float(nats), int(tokens), int(notes), len(rows), float(seconds))


def markdown_table(results: Mapping[str, Mapping[str, Likelihood]], *, unit: str = "nats_per_note") -> str:
    """One row a model (or split), one column a source; the last rows say how much was measured.

    `unit` is "nats_per_note" or "bits_per_second".
    """
    sources = list(next(iter(results.values())))
    rows = {label: [f"{getattr(by_source[s], unit):.3f}" for s in sources] for label, by_source in results.items()}
    sizes = {
        label: [f"{by_source[s].pieces} / {by_source[s].notes}" for s in sources]
        for label, by_source in results.items()
    }
    first = next(iter(sizes.values()))
    if all(size == first for size in sizes.values()):
        rows["pieces / notes"] = first
    else:
        rows |= {f"pieces / notes of {label}": size for label, size in sizes.items()}
    lines = [f"| | {' | '.join(sources)} |", f"|---|{'---:|' * len(sources)}"]
    return "\n".join(lines + [f"| {label} | {' | '.join(cells)} |" for label, cells in rows.items()])
