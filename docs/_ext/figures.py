"""Pictures of the gallery: every matplotlib figure that a block has made, by pyplot or by graphkit's own plots."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst


def scrape(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Save the figures among the example's variables that no earlier block has shown."""
    paths = []
    for value in block_vars["example_globals"].values():
        if isinstance(value, Figure) and not hasattr(value, "in_gallery"):
            value.in_gallery = True
            paths.append(next(block_vars["image_path_iterator"]))
            value.savefig(paths[-1], dpi=110)
    return figure_rst(paths, gallery_conf["src_dir"])
