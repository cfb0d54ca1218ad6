"""Recipes: one file per published number, and the run that compares it with ours."""

from typing import TYPE_CHECKING, Any

from graphkit.core.deprecation import renamed_members
from graphkit.core.lazy import lazy_members

if TYPE_CHECKING:
    from graphkit.recipes.advice import Advice, advise
    from graphkit.recipes.comparison import PairedDifference, RunComparison, compare_runs
    from graphkit.recipes.experiment import Experiment
    from graphkit.recipes.listing import available
    from graphkit.recipes.model_comparison import ModelComparison, compare
    from graphkit.recipes.papers import Paper, Published
    from graphkit.recipes.recipe import Cell, Recipe, load
    from graphkit.recipes.rejudging import rejudge, rejudge_all
    from graphkit.recipes.report import Report
    from graphkit.recipes.reproducing import reproduce_all
    from graphkit.recipes.result import RecipeResult
    from graphkit.recipes.running import OutOfTime, RunOptions
    from graphkit.recipes.suite import Suite, SuiteResult, load_suite
    from graphkit.recipes.verdict import CellResult, Verdict, judge

__all__ = [
    "Advice",
    "Cell",
    "CellResult",
    "Experiment",
    "ModelComparison",
    "OutOfTime",
    "PairedDifference",
    "Paper",
    "Published",
    "Recipe",
    "RecipeResult",
    "Report",
    "RunComparison",
    "RunOptions",
    "Suite",
    "SuiteResult",
    "Verdict",
    "advise",
    "available",
    "compare",
    "compare_runs",
    "judge",
    "load",
    "load_suite",
    "rejudge",
    "rejudge_all",
    "reproduce_all",
]

_member = lazy_members(
    globals(),
    {
        "advice": ["Advice", "advise"],
        "comparison": ["PairedDifference", "RunComparison", "compare_runs"],
        "experiment": ["Experiment"],
        "listing": ["available"],
        "model_comparison": ["ModelComparison", "compare"],
        "papers": ["Paper", "Published"],
        "recipe": ["Cell", "Recipe", "load"],
        "rejudging": ["rejudge", "rejudge_all"],
        "report": ["Report"],
        "reproducing": ["reproduce_all"],
        "result": ["RecipeResult"],
        "running": ["OutOfTime", "RunOptions"],
        "suite": ["Suite", "SuiteResult", "load_suite"],
        "verdict": ["CellResult", "Verdict", "judge"],
    },
)
_renamed = renamed_members(
    globals(),
    {
        "Comparison": "Recipe",
        "ComparisonResult": "RecipeResult",
        "Execution": "RunOptions",
        "Reproduction": "RecipeResult",
        "Sweep": "Recipe",
        "SweepResult": "RecipeResult",
    },
)


def __getattr__(name: str) -> Any:
    return _member(name) if name in __all__ else _renamed(name)
