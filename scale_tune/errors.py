"""The one exception that a user is meant to read."""


class UserError(Exception):
    """Something the user can put right: the message names what, the value, and the remedy.

    The commands print the message, without a traceback, and exit with its code, which is 2.
    """

    exit_code = 2


class StoppedError(UserError):
    """What was asked for may be right, but the machine or the cluster was taken away: the same command may do it."""

    exit_code = 3


class NoResultError(UserError):
    """A search that was begun as it should be has ended without anything to select from, or would."""

    exit_code = 4
