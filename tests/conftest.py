"""What every test may rely on."""

import os

from hypothesis import settings

# One thread, here and in the commands that tests start: threads of tiny networks mostly wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# No deadline: the machine may be busy. The same examples on every run: a red test stays red till mended.
settings.register_profile("musegen", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("musegen")
