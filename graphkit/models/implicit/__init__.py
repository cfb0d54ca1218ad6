"""Networks whose states are defined by an equation."""

from graphkit.models.implicit.energy_gnn import EnergyGNN

__all__ = ["EnergyGNN"]
