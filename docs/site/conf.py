"""How `make docs` builds the site: the pages as they stand on GitHub, and a reference.

The sources are the whole repository, so that a link between two pages is the same file here and
there. Nothing of the site is loaded from elsewhere.
"""

import sys
from pathlib import Path

import stepscore

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

project = "stepscore"
author = "the stepscore developers"
version = release = stepscore.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "formulas",
    "names",
    "registries",
    "commands",
]
root_doc = "docs/index"
include_patterns = [
    "docs/**.md",
    "docs/**.rst",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "benchmarks/*.md",
    "python/stepscore/lab/README.md",
]
exclude_patterns = [".*", "build", "dist", "cpp", "cuda", "src", "tests", "packaging"]

# --- pages ----------------------------------------------------------------------------------

myst_heading_anchors = 4  # a link to page.md#a-heading, as GitHub makes them
smartquotes = False  # what is written is shown, as on GitHub
highlight_language = "none"  # a fence without a language is a shell, or what is printed

# The lexer of HTTP waits for a version, which the requests do without; it colours them yet.
suppress_warnings = ["misc.highlighting_failure"]

# --- the reference --------------------------------------------------------------------------

default_role = "py:obj"  # `name` in a docstring
autodoc_default_options = {
    "members": True,
    "member-order": "bysource",
    "inherited-members": "tuple, dict, BaseException",  # but not from these
}
autodoc_class_signature = "mixed"
autodoc_typehints_format = "short"
autodoc_type_aliases = {"PendingNodes": "stepscore.search.tree.PendingNodes"}
python_display_short_literal_types = True
python_use_unqualified_type_names = True
maximum_signature_line_length = 88
add_module_names = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_custom_sections = [("Attributes", "params_style")]  # a property may be documented, too
napoleon_use_rtype = False
math_numfig = False

# --- the theme ------------------------------------------------------------------------------

html_theme = "furo"
html_title = f"stepscore {release}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_additional_pages = {"index": "to_the_first_page.html"}
templates_path = ["templates"]
html_math_renderer = "mathml"
html_show_sphinx = False
html_copy_source = False
html_show_copyright = False
copybutton_exclude = ".gp, .go"  # neither >>> nor what is printed
pygments_style = "friendly"
pygments_dark_style = "monokai"
