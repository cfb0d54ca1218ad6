"""Sphinx configuration: `make docs`."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]  # extensions; golden adapters and benchmarks, which they read
os.environ["MPLBACKEND"] = "Agg"

import graphkit  # noqa: E402

project = "graphkit"
author = "the graphkit authors"
copyright = "2026, the graphkit authors"
release = version = graphkit.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",  # testcode and testoutput; tests/test_guide.py runs them
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",  # ships MathJax with the pages: they ask no other host
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
    "examples",
    "families",
    "gallery",
    "gpu",
    "methods",
    "results",
    "rooms",
    "renamed",
]
exclude_patterns = ["_build", "gallery", "**sg_execution_times.rst"]
html_theme = "furo"
html_title = f"graphkit {release}"
html_static_path = ["_static"]
html_css_files = ["graphkit.css"]
html_js_files = ["graphkit.js"]

# Each API page documents what its room exports in `__all__`, so a new class joins the documentation by existing.
autodoc_default_options = {"members": True, "imported-members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # types stand in the signature of the sources and in Args
autodoc_inherit_docstrings = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Shapes", "Complexity", ("Usual arguments", "params_style")]

QUESTIONS = (
    "start",
    "features",
    "heterophilous",
    "long_range",
    "counting",
    "larger",
    "no_backpropagation",
    "own_time",
    "pairs",
    "networks",
)

# Every script of the gallery is run; one that fails, fails the build.
sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "image_scrapers": ("figures.scrape",),
    "abort_on_example_error": True,
    "capture_repr": ("__str__",),
    "download_all_examples": False,
    "reset_modules": ("matplotlib", "figures.use_colours"),
    "within_subsection_order": "FileNameSortKey",
    "subsection_order": [*(f"gallery/{question}" for question in QUESTIONS), "*"],
    "reference_url": {"graphkit": None},  # names in the scripts' code lead to the API pages
}
