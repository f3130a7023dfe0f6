"""The errors that musegen raises for what a user can mend; each text says what to do.

Anything else that escapes is a defect of ours.
"""


class MusegenError(Exception):
    """Base of every error a caller can act on. The command line prints it in one line and exits with 2."""


class FileFormatError(MusegenError):
    """A file cannot be read or written as what it claims to be."""


class RequestError(MusegenError):
    """What was asked for is out of range, contradictory, or not to be had from this model."""


class ModelError(MusegenError):
    """A model is unknown, or its file is damaged or does not fit."""


class MusegenWarning(UserWarning):
    """Something in a file could not be kept; the text names it and counts it."""
