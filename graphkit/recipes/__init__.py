"""Recipes: one file per published number, and the run that compares it with ours."""

from graphkit.core.deprecation import renamed_members
from graphkit.recipes.cell_result import CellResult
from graphkit.recipes.comparison import PairedDifference, RunComparison, compare_runs
from graphkit.recipes.experiment import Experiment
from graphkit.recipes.model_comparison import ModelComparison, compare
from graphkit.recipes.papers import Paper
from graphkit.recipes.published import Published
from graphkit.recipes.recipe import Cell, Recipe, available, load
from graphkit.recipes.rejudge import rejudge, rejudge_all
from graphkit.recipes.report import Report
from graphkit.recipes.reproduce_all import reproduce_all
from graphkit.recipes.result import RecipeResult
from graphkit.recipes.running import OutOfTime, RunOptions
from graphkit.recipes.verdict import Verdict, judge

__all__ = [
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
    "Verdict",
    "available",
    "compare",
    "compare_runs",
    "judge",
    "load",
    "rejudge",
    "rejudge_all",
    "reproduce_all",
]

__getattr__ = renamed_members(
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
