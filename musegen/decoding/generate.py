"""The loop that writes: read, filter, choose, advance, yield.

Row i is a function of its prompt, state, options and seed alone: it is the same to the last bit whatever rows are
generated beside it, and whatever `slots` is. Rows wait until a slot is free, and leave it when they end.

With guidance every row has a shadow beside it in the batch: the same tokens without what was asked for. The next
id is chosen from both readings, as filters.guide mixes them.

Letters: B rows in work, V ids.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from musegen.decoding import filters, search
from musegen.decoding.drafting import FEW_ROWS, Reading, Repeats, drafted
from musegen.decoding.filters import SamplingOptions
from musegen.decoding.protocol import BoolArray, FloatArray, Network, Shadow, State
from musegen.decoding.reader import Prompt, Reader

RECENT_TOKENS = 64
"""How far back the repetition penalty looks."""


class Ending(Enum):
    """Why a row ended."""

    DONE = "done"
    OUT_OF_TOKENS = "out of tokens"
    """It reached max_tokens before its grammar was done: what there is of it is no complete piece."""


@dataclass(frozen=True)
class Step:
    """What one turn of the loop wrote: an id to each of some rows, and which rows ended with it."""

    rows: tuple[int, ...]
    ids: tuple[int, ...]
    endings: dict[int, Ending] = field(default_factory=dict)


def generate(
    network: Network,
    states: Sequence[State],
    prompts: Sequence[Prompt],
    options: SamplingOptions,
    seeds: Sequence[int],
    *,
    max_tokens: int,
    context: int,
    is_bar: BoolArray,
    shadows: Sequence[tuple[Shadow, Prompt]] = (),
    slots: int = 16,
    drafts: bool = True,
) -> Iterator[Step]:
    """Continue every prompt until its grammar state is done.

    Args:
        network: what reads.
        states: one for each row, already advanced through its prompt; they advance as ids are yielded.
        prompts: ids (T,) and attributes (T, A) of each row, at least one id.
        options: filters and search, the same for all rows.
        seeds: one for each row; unused by greedy and beam search.
        max_tokens: most new ids of a row; one that needs more ends as `Ending.OUT_OF_TOKENS`.
        context: most tokens the model sees; a row that outgrows it goes on from its head and its last bars.
        is_bar: (V,) which ids open a bar.
        shadows: with guidance, of each row its shadow, already advanced, and the prompt that it reads instead.
        slots: most rows in work at once.
        drafts: whether what a piece has said before is read along as a draft (drafting.py): the same ids, sooner.

    Yields:
        Steps; each row ends in exactly one of them. With beam search a row's ids come when it is complete.
    """
    rows = [
        _Row(index, state, [prompt], search.Draws(seed))
        for index, (state, prompt, seed) in enumerate(zip(states, prompts, seeds, strict=True))
    ]
    if options.is_guided:
        for row, (shadow, prompt) in zip(rows, shadows, strict=True):
            row.shadow = shadow
            row.prompts.append(prompt)
    elif network.can_go_back and drafts:
        for row in rows:
            row.repeats = Repeats(row.prompts[0][0].tolist())
    ended = [row for row in rows if row.state.done or max_tokens < 1]
    if ended:
        yield Step((), (), {row.index: row.ending for row in ended})
    waiting = deque(row for row in rows if row not in ended)
    if not waiting:
        return
    if options.search == "beam":
        reader = Reader(network, options.beams, context, is_bar)
        for row in waiting:
            yield from _search(reader, row, options, max_tokens)
    else:
        n_readings = len(waiting[0].prompts)
        reader = Reader(network, n_readings * min(slots, len(waiting)), context, is_bar)
        yield from _write(reader, waiting, options, max_tokens)


@dataclass(eq=False)
class _Row:
    """A row in work: what it was given, the last id it has written, and how many.

    It has one reading by the network, or with guidance two, its own and its shadow's, each with a prompt. Where drafts
    are made, `ahead` are the ids of the last one that have been read but not written, each with what follows it (V,).
    """

    index: int
    state: State
    prompts: list[Prompt]
    draws: search.Draws
    shadow: Shadow | None = None
    shadow_reads: bool = False
    token: int = -1
    n_written: int = 0
    repeats: Repeats | None = None
    ahead: deque[tuple[int, FloatArray]] = field(default_factory=deque)

    def advance(self, token: int) -> None:
        """Write one id."""
        self.state.advance(token)
        self.token = token
        self.n_written += 1
        if self.repeats is not None:
            self.repeats.add(token)
        if self.shadow is not None:
            self.shadow_reads = self.shadow.advance(token)

    @property
    def ending(self) -> Ending:
        """How the row ends if it ends now."""
        return Ending.DONE if self.state.done else Ending.OUT_OF_TOKENS


def _write(reader: Reader, waiting: deque[_Row], options: SamplingOptions, max_tokens: int) -> Iterator[Step]:
    """Greedy and sampled rows, as many at once as there are slots. Reading i of row r is in slot r * n + i."""
    n = len(waiting[0].prompts)
    rows: dict[int, _Row] = {}  # by the first of its slots
    while waiting or rows:
        for slot in range(0, reader.n_slots, n):
            if waiting and slot not in rows:
                rows[slot] = waiting.popleft()
                for reading, prompt in enumerate(rows[slot].prompts):
                    reader.put(slot + reading, prompt)
        slots, written = list(rows), list(rows.values())
        weights = _filtered(reader, slots, [row.state for row in written], options)
        chosen = _chosen(weights, written, options)
        for row, token in zip(written, chosen, strict=True):
            row.advance(token)
        ended = {slot: row for slot, row in rows.items() if row.state.done or row.n_written >= max_tokens}
        endings = {row.index: row.ending for row in ended.values()}
        yield Step(tuple([row.index for row in written]), tuple(chosen), endings)
        for slot in ended:
            del rows[slot]
            for reading in range(n):
                reader.drop(slot + reading)
        _read(reader, rows)


def _read(reader: Reader, rows: dict[int, _Row]) -> None:
    """Let the network read what each row has written last, unless it has done so already as a draft."""
    read: dict[int, list[Reading]] = {}
    for slot, row in rows.items():
        reading = (row.token, row.state.attributes)
        if row.ahead and row.ahead[0][0] == row.token:
            reader.accept(slot, reading, row.ahead.popleft()[1])
            continue
        row.ahead.clear()
        read[slot] = [reading]
        if row.shadow is not None and row.shadow_reads:
            read[slot + 1] = [(row.token, row.shadow.attributes)]
        if row.repeats is not None and len(rows) <= FEW_ROWS:
            read[slot] += drafted(row.repeats, row.state)[: max(0, reader.room(slot) - 1)]
    for slot, lines in reader.read(read).items():
        rows[slot].ahead.extend(zip([token for token, _ in read[slot][1:]], lines, strict=True))


def _chosen(weights: FloatArray, rows: Sequence[_Row], options: SamplingOptions) -> list[int]:
    """The next id of each row out of its log-weights (B, V)."""
    if options.search == "greedy":
        chosen = search.greedy(weights)
    else:
        chosen = search.sample(weights, np.array([row.draws.next() for row in rows]))
    ids: list[int] = chosen.tolist()
    return ids


def _search(reader: Reader, row: _Row, options: SamplingOptions, max_tokens: int) -> Iterator[Step]:
    """One row by beam search: its live sequences are the slots."""
    reader.put(0, row.prompts[0])

    def score(live: list[search.Hypothesis]) -> FloatArray:
        if live[0].ids:
            reader.select([each.parent for each in live])
            reader.read({slot: [(each.ids[-1], each.state.attributes)] for slot, each in enumerate(live)})
        return filters.log_softmax(_filtered(reader, range(len(live)), [each.state for each in live], options))

    best = search.beam(search.Hypothesis(row.state), options.beams, max_tokens, score)
    for token in best.ids:
        row.advance(token)
        is_last = row.n_written == len(best.ids)
        yield Step((row.index,), (token,), {row.index: row.ending} if is_last else {})


def _filtered(reader: Reader, slots: Sequence[int], states: Sequence[State], options: SamplingOptions) -> FloatArray:
    """Log-weights (B, V) of what may follow the rows in these slots; with guidance each has its shadow in the next."""
    logits = reader.logits.take(slots, axis=0)
    if options.is_guided:
        anyway = reader.logits.take([slot + 1 for slot in slots], axis=0)
        logits = filters.guide(logits, anyway, options.guidance or 1.0)
    allowed = np.empty(logits.shape, np.bool_)
    for line, state in enumerate(states):
        allowed[line] = state.allowed()
    if not allowed.any(axis=-1).all():
        raise ValueError("a grammar state that is not done allows no id")
    recent = allowed  # nobody asks
    if options.repetition_penalty != 1:
        recent = np.zeros_like(allowed)
        for line, slot in enumerate(slots):
            recent[line, reader.recent(slot, RECENT_TOKENS)] = True
    return filters.apply(logits, allowed, recent, options)
