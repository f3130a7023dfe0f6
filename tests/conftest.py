"""What every test may rely on."""

from hypothesis import settings

# No deadline: the machine may be busy. The same examples on every run: a red test stays red till mended.
settings.register_profile("musegen", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("musegen")
