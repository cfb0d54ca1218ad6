"""Search over the settings of a recipe with Optuna, judged by validation scores alone."""

try:
    import optuna as _optuna  # noqa: F401
except ImportError as error:
    raise ImportError("a search needs Optuna; install it with pip install 'graphkit-pyg[search]'") from error

from graphkit.tuning.conservative import ConservativeSampler
from graphkit.tuning.pruning import PruningCallback
from graphkit.tuning.result import SearchResult
from graphkit.tuning.searching import search
from graphkit.tuning.space import SearchSpace

__all__ = ["ConservativeSampler", "PruningCallback", "SearchResult", "SearchSpace", "search"]
