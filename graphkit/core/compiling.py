"""Says that numba compiles: what a machine meets for the first time takes seconds, in which nothing seems to happen."""

from __future__ import annotations

import logging
import sys
from typing import Any

from numba.core import event

TEXT = "compiling kernels that are new to this machine; that takes seconds, once, as they are kept on disk"


class Teller(event.Listener):
    """Tells a terminal, or else the log, when numba first compiles something in this process."""

    told = False

    def on_start(self, occasion: Any) -> None:
        """A function begins to be compiled; one that is found on disk is not."""
        if self.told:
            return
        self.told = True
        if sys.stderr.isatty():
            print(f"graphkit: {TEXT}", file=sys.stderr)
        else:
            logging.getLogger("graphkit").info(TEXT)

    def on_end(self, occasion: Any) -> None:
        """It has done so."""


TELLER = Teller()
event.register("numba:compile", TELLER)
