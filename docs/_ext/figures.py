"""Pictures of the gallery: every matplotlib figure that a block has made, by pyplot or by graphkit's own plots."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
from cycler import cycler
from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

from graphkit.core.figures import COLOURS


def scrape(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Save the figures among the example's variables that no earlier block has shown."""
    paths = []
    for value in block_vars["example_globals"].values():
        if isinstance(value, Figure) and not hasattr(value, "in_gallery"):
            value.in_gallery = True
            paths.append(next(block_vars["image_path_iterator"]))
            value.savefig(paths[-1], dpi=110)
    return figure_rst(paths, gallery_conf["src_dir"])


def use_colours(gallery_conf: dict[str, Any], script: str) -> None:
    """Let a script's own figures have the colours of graphkit's."""
    mpl.rcParams["axes.prop_cycle"] = cycler(color=COLOURS)
