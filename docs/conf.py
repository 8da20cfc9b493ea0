"""Settings of Sphinx. `docs/build.py` copies the pages and this file to the build folder, and calls Sphinx there."""

import os
import sys

sys.path.insert(0, os.environ["DOSEFIND_ROOT"])

from dosefind import __version__

project = "dosefind"
author = "dosefind contributors"
copyright = "dosefind contributors, MIT licence"
version = release = __version__

extensions = [
    "docs.extension",
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx_click",
    "sphinx_copybutton",
]
# Pages of notebooks are made from existing outputs.
nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["deflist", "dollarmath", "fieldlist"]
myst_heading_anchors = 3
myst_dmath_double_inline = True

html_theme = "furo"
html_title = "dosefind"
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"footer_icons": []}

# Options begin with two hyphens, which are not a dash.
smartquotes = False
default_role = "py:obj"
add_module_names = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
maximum_signature_line_length = 90
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
copybutton_exclude = ".linenos, .gp, .go"
copybutton_selector = "div:not(.output) > div.highlight > pre"
