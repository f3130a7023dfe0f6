"""musegen composes, continues and renders symbolic music.

The names below are the public API. They are imported when first used, so `import musegen` is quick and loads
no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from musegen.compose import Request, load
    from musegen.score.formats import read, write
    from musegen.score.model import Score

__version__ = "0.1.0"
__all__ = ["Request", "Score", "__version__", "load", "read", "write"]

_HOMES = {
    "Request": "musegen.compose",
    "Score": "musegen.score.model",
    "load": "musegen.compose",
    "read": "musegen.score.formats",
    "write": "musegen.score.formats",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'musegen' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
