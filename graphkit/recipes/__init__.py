"""Recipes: one file per published number, and the run that compares it with ours."""

from graphkit.recipes.comparison import Comparison, ComparisonResult
from graphkit.recipes.experiment import Experiment
from graphkit.recipes.recipe import Published, Recipe, available, load
from graphkit.recipes.report import Report
from graphkit.recipes.reproduce_all import reproduce_all
from graphkit.recipes.reproduction import Reproduction, judge
from graphkit.recipes.running import Execution, OutOfTime
from graphkit.recipes.sweep import Sweep, SweepResult

__all__ = [
    "Comparison",
    "ComparisonResult",
    "Execution",
    "Experiment",
    "OutOfTime",
    "Published",
    "Recipe",
    "Report",
    "Reproduction",
    "Sweep",
    "SweepResult",
    "available",
    "judge",
    "load",
    "reproduce_all",
]
