"""What models of events remember: state in buffers, which ``reset_state`` empties."""

from graphkit.nn.temporal.pres import PRES

__all__ = ["PRES"]
