from __future__ import annotations

import os
import time

import pytest

from musegen.corpus.workers import Failed, FileLimits, run


def job(number: int) -> int:
    """Five files, of which one hangs, one dies and one eats memory."""
    if number == 1:
        time.sleep(60)
    if number == 2:
        os._exit(3)
    if number == 3:
        bytearray(3 * 2**30)
    return 10 * number


@pytest.mark.parametrize("workers", [1, 3])
def test_what_hangs_dies_or_eats_memory_costs_its_own_file(workers: int) -> None:
    results = dict(run(job, range(5), FileLimits(seconds=1.0, megabytes=1024), workers))
    assert results == {
        0: 0,
        1: Failed("took longer than 1 seconds"),
        2: Failed("the process that read it died"),
        3: Failed("took more than 1024 megabytes of memory"),
        4: 40,
    }


def test_nothing_to_do_starts_nothing() -> None:
    assert list(run(job, [], FileLimits(), 2)) == []
