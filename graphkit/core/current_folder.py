"""The current folder, which ``python -m`` searches first: a csv.py there would be taken for Python's own."""

import os
import sys


def leave_out() -> None:
    """Search the current folder no more; in a clone graphkit itself lies there, so it is searched last."""
    if sys.path[:1] == [os.getcwd()] and not sys.flags.safe_path:
        folder = sys.path.pop(0)
        if os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))) == folder:
            sys.path.append(folder)


def search_last() -> None:
    """Search the current folder, too, but last: no file there may pose as a module of another package."""
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
