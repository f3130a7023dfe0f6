"""Tokens: Score <-> ids, the grammar of the ids, and what the model is told beside them."""

from musegen.tokens.grammar import Grammar, GrammarState
from musegen.tokens.remi import Controls, Remi, density_of
from musegen.tokens.state import ATTRIBUTES, Constraints
from musegen.tokens.vocabulary import STEPS_PER_QUARTER, STYLES, VOCABULARY

TOKENIZERS = {"remi": Remi}
"""Every representation by name."""

__all__ = [
    "ATTRIBUTES",
    "STEPS_PER_QUARTER",
    "STYLES",
    "TOKENIZERS",
    "VOCABULARY",
    "Constraints",
    "Controls",
    "Grammar",
    "GrammarState",
    "Remi",
    "density_of",
]
