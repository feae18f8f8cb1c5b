"""Sphinx configuration; build with ``sphinx-build -W doc doc/_build``."""

import plip

project = "plip"
author = "The plip developers"
copyright = "2026, The plip developers"
version = release = plip.__version__

extensions = ["numpydoc", "sphinx.ext.autodoc", "sphinx.ext.mathjax"]
# The members that scikit-learn adds to every estimator would bury ours.
numpydoc_show_inherited_class_members = False
numpydoc_class_members_toctree = False
exclude_patterns = ["_build"]
html_theme = "alabaster"
html_theme_options = {"description": "Readable interatomic potentials by sparse linear regression"}
