"""The one exception that stands for a user's mistake."""


class UserError(Exception):
    """What is wrong, where, and what to change, in one sentence.

    Stages and the command line print it without a traceback and exit with status 1; any other exception is our defect.
    """
