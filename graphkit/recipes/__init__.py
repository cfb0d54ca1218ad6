"""Recipes: one file per published number, and the run that compares it with ours."""

from graphkit.recipes.comparison import Comparison, ComparisonResult
from graphkit.recipes.experiment import Experiment
from graphkit.recipes.recipe import Published, Recipe, available, load
from graphkit.recipes.reproduction import Reproduction, judge
from graphkit.recipes.sweep import Sweep, SweepResult

__all__ = [
    "Comparison",
    "ComparisonResult",
    "Experiment",
    "Published",
    "Recipe",
    "Reproduction",
    "Sweep",
    "SweepResult",
    "available",
    "judge",
    "load",
]
