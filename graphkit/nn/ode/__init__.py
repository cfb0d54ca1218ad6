"""Integration of ordinary differential equations on node states: one solver per file, chosen by :class:`ODESolver`."""

from graphkit.nn.ode.equation import ODE as ODE
from graphkit.nn.ode.equation import State
from graphkit.nn.ode.numerical import ADAPTIVE, FIXED_STEP
from graphkit.nn.ode.solver import METHODS, AdjointMethod, Method, ODESolver

__all__ = ["ADAPTIVE", "FIXED_STEP", "METHODS", "AdjointMethod", "Method", "ODESolver", "State"]
