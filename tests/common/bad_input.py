"""What becomes of a call with bad input: a clear error, an unclear one, a result, or nothing within a time limit."""

import signal
import traceback
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import graphkit

PACKAGE = str(Path(graphkit.__file__).parent)
CLEAR = (TypeError, ValueError, IndexError, FileNotFoundError)
VERDICTS = ("clear", "unclear", "accepted", "hung")


class Hung(BaseException):
    """The time limit has passed."""


@contextmanager
def _limit(seconds):
    def stop(signum, frame):
        raise Hung

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def verdict(call, *names, seconds=10.0):
    """One of ``VERDICTS`` and what was said.

    An error is clear if graphkit's own code raises it, as one of the usual types, with one of ``names`` (of the
    argument, or its value as text) in its message.
    """
    try:
        with _limit(seconds):
            result = call()
    except Hung:
        return "hung", f"no answer within {seconds} s"
    except Exception as error:
        raised_by = traceback.extract_tb(error.__traceback__)[-1].filename
        own, named = raised_by.startswith(PACKAGE), any(name in str(error) for name in names)
        text = f"{type(error).__name__}: {error}"
        return ("clear" if isinstance(error, CLEAR) and own and named else "unclear"), text
    return "accepted", f"{result!r:.80}"


def judge(cases, seconds=10.0):
    """Run ``(label, call, names)``; the counts, and a line for each that is not clear. The counts are printed."""
    counts, wrong = Counter(), []
    for label, call, names in cases:
        kind, text = verdict(call, *names, seconds=seconds)
        counts[kind] += 1
        if kind != "clear":
            wrong.append(f"{kind}: {label} -> {text}")
    print(", ".join(f"{counts[kind]} {kind}" for kind in VERDICTS))
    return counts, wrong
