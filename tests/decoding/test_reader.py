from __future__ import annotations

import numpy as np
import pytest

from musegen.decoding.reader import window
from musegen.errors import RequestError


def bars(n_tokens: int, *starts: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    row = np.zeros(n_tokens, np.bool_)
    row[list(starts)] = True
    return row


def test_window_keeps_the_head_and_whole_bars() -> None:
    # Head 0..2, bars at 3, 7, 11, 15; 18 tokens. 11 tokens of room take the last two bars (7 tokens), not three.
    assert window(bars(18, 3, 7, 11, 15), 13).tolist() == [0, 1, 2, *range(11, 18)]
    assert window(bars(18, 3, 7, 11, 15), 14).tolist() == [0, 1, 2, *range(7, 18)]


def test_window_of_a_bar_that_is_too_long_keeps_its_end() -> None:
    assert window(bars(30, 2, 6), 10).tolist() == [0, 1, *range(22, 30)]


def test_window_without_bars_keeps_the_end() -> None:
    assert window(bars(9), 4).tolist() == [5, 6, 7, 8]


def test_window_that_holds_everything_keeps_it_once() -> None:
    assert window(bars(9, 2, 5), 20).tolist() == list(range(9))


def test_a_head_that_leaves_no_room_is_refused() -> None:
    with pytest.raises(RequestError, match="fewer instruments"):
        window(bars(12, 8), 8)
