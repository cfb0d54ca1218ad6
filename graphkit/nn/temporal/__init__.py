"""What models of events remember: state in buffers, which ``reset_state`` empties."""

from graphkit.nn.temporal.pres import PRES
from graphkit.nn.temporal.state import GrowingState

__all__ = ["PRES", "GrowingState"]
