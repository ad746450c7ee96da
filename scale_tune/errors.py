"""The one exception that a user is meant to read."""


class UserError(Exception):
    """Something the user can put right: the message names what, the value, and the remedy.

    The commands print the message, without a traceback, and exit with code 2.
    """
