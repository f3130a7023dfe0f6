"""Random walks through the grammar, for the tests of all that must hold of whatever it allows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from musegen.tokens import VOCABULARY, Constraints, Grammar


def random_walk(
    constraints: Constraints, rng: np.random.Generator
) -> tuple[npt.NDArray[np.int64], list[tuple[int, ...]]]:
    """One piece of ids that the grammar allows, each step drawn first by type and then by value.

    The weights of the types are drawn once a walk, so that walks differ in what they are full of. Returns the ids
    and the state's attributes after each.
    """
    state = Grammar(constraints).start()
    weights = rng.random(len(VOCABULARY.blocks)) ** 4 + 1e-6
    ids: list[int] = []
    attributes: list[tuple[int, ...]] = []
    while not state.done:
        allowed = np.flatnonzero(state.allowed())
        assert len(allowed), f"dead end after {[VOCABULARY.names[i] for i in ids[-12:]]}"
        types = np.unique(VOCABULARY.types[allowed])
        kind = rng.choice(types, p=weights[types] / weights[types].sum())
        token = int(rng.choice(allowed[VOCABULARY.types[allowed] == kind]))
        state.advance(token)
        ids.append(token)
        attributes.append(state.attributes)
    return np.array(ids), attributes
