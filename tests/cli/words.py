"""What the tests of the command line share."""

from collections.abc import Callable
from pathlib import Path

Run = Callable[..., tuple[int, str, str]]
SAMPLE = Path(__file__).parents[2] / "midi_samples" / "frere_jacques.mid"
QUICK = ("-m", "tiny-random", "--bars", "1", "--meter", "2/4")
"""Options of a piece that is made at once."""
