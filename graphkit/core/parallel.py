"""Parallel calls through joblib, whose backends also reach other machines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

Call = tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]  # what joblib.delayed makes


def parallel(calls: Iterable[Call], jobs: int | None = None, ordered: bool = False) -> Iterator[Any]:
    """The results of calls, each as soon as it is there, carried out by joblib.

    Within ``joblib.parallel_config(backend=...)`` that backend is used. One that cannot hand over results one by one,
    as Ray's, works in rounds: as many calls as it has workers, then their results.

    Args:
        calls: Made with ``joblib.delayed``; taken one by one, some ahead of their execution.
        jobs: Parallel processes (default: those of ``joblib.parallel_config``, else 1).
        ordered: Whether results come in the order of the calls (default: ``False``).

    Example:
        >>> from joblib import delayed
        >>> list(parallel([delayed(abs)(-1), delayed(abs)(2)], ordered=True))
        [1, 2]
    """
    from joblib import Parallel, effective_n_jobs
    from joblib.parallel import get_active_backend

    backend, _ = get_active_backend()
    if backend.supports_return_generator:
        yield from Parallel(n_jobs=jobs, return_as="generator" if ordered else "generator_unordered")(calls)
        return
    todo = iter(calls)
    with Parallel(n_jobs=jobs) as workers:
        while turn := list(islice(todo, effective_n_jobs(-1 if jobs is None else jobs))):
            yield from workers(turn)
