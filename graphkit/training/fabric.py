"""Lightning Fabric, quick to start."""

from __future__ import annotations

import functools
from typing import Any

import lightning_fabric


class Fabric(lightning_fabric.Fabric):
    """Fabric that looks through all installed packages for callbacks once per process.

    It would for every run, and that takes longer than a short one.
    """

    @staticmethod
    def _configure_callbacks(callbacks: Any) -> list[Any]:
        return [*(callbacks or ()), *_of_other_packages()]


@functools.cache
def _of_other_packages() -> tuple[Any, ...]:
    return tuple(lightning_fabric.Fabric._configure_callbacks(None))
