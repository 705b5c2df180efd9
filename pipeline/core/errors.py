"""The one exception for what a user can mend.

The command line prints it as a single line and exits with 1; every other exception is a bug and keeps its traceback.
"""


class UserError(Exception):
    """A mistake in files, settings or arguments. The message names place, value, expectation and remedy."""


class MissingPackageError(UserError):
    """A package that is needed is not installed. The message names it."""


class RecordError(Exception):
    """Why a record of a batch, or the rest of a file from there on, can't be read: it goes to the quarantine."""
