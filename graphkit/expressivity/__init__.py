"""Which graphs a model tells apart, beside exact Weisfeiler-Leman verdicts and published counts.

``graphkit expressivity GIN --suite brec`` on the command line; :func:`expressivity` for models and transforms of your
own.
"""

from graphkit.expressivity.bench import expressivity
from graphkit.expressivity.protocols import PairedTraining, Protocol, RandomWeights, Verdict, t_squared
from graphkit.expressivity.random_models import NamedModel
from graphkit.expressivity.result import Expressivity, SuiteResult
from graphkit.expressivity.suites import BOUNDS, NAMES, Suite, load_suite

__all__ = [
    "BOUNDS",
    "NAMES",
    "Expressivity",
    "NamedModel",
    "PairedTraining",
    "Protocol",
    "RandomWeights",
    "Suite",
    "SuiteResult",
    "Verdict",
    "expressivity",
    "load_suite",
    "t_squared",
]
