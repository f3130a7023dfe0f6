"""Tokens: Score <-> ids, the grammar of the ids, and what the model is told beside them."""

from musegen.tokens.controls import DROPPABLE, Controls, controls_of, density_of, density_range
from musegen.tokens.grammar import Grammar, GrammarState
from musegen.tokens.grid import Grid, to_grid
from musegen.tokens.remi import Remi
from musegen.tokens.state import ATTRIBUTES, PLACES, Constraints
from musegen.tokens.vocabulary import STEPS_PER_QUARTER, STYLES, VOCABULARY

TOKENIZERS = {"remi": Remi}
"""Every representation by name."""

__all__ = [
    "ATTRIBUTES",
    "DROPPABLE",
    "PLACES",
    "STEPS_PER_QUARTER",
    "STYLES",
    "TOKENIZERS",
    "VOCABULARY",
    "Constraints",
    "Controls",
    "Grammar",
    "GrammarState",
    "Grid",
    "Remi",
    "controls_of",
    "density_of",
    "density_range",
    "to_grid",
]
