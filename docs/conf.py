"""How Sphinx builds these pages: every notebook is run, every warning is an error, nothing comes from the network."""

import os
import sys
from functools import partialmethod
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from docutils import nodes  # noqa: E402
from docutils.utils.math.latex2mathml import tex2mathml  # noqa: E402
from nbclient import NotebookClient  # noqa: E402
from rooms import write_reference  # noqa: E402

import speclet_formula as sf  # noqa: E402

project = "speclet_formula"
author = "The speclet_formula authors"
copyright = author
version = release = sf.__version__

extensions = ["myst_nb", "numpydoc", "sphinx.ext.autodoc", "sphinx.ext.autosummary"]
exclude_patterns = ["_build", "jupyter_execute", "reference/rooms"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# Notebooks: run anew for each build, so that no printed number is older than the code. One that fails, or writes to
# standard error what a reader should not see, fails the build.
nb_execution_mode = "force"
nb_execution_timeout = 600
# A busy machine needs more than the usual minute to start a kernel.
NotebookClient.__init__ = partialmethod(NotebookClient.__init__, startup_timeout=300)
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_merge_streams = True
nb_render_markdown_format = "myst"  # in which tables are tables
smartquotes = False  # code in a sentence can be copied
nb_output_stderr = "warn"
nb_ipywidgets_js = {}
nb_code_prompt_show = "Show the answer"
nb_code_prompt_hide = "Hide the answer"
# Two kernels may run beside each other under `sphinx-build -j 2`: each keeps to one thread of BLAS.
os.environ["IPYTHONDIR"] = str(HERE / "_ipython")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Where Python is told to keep no bytecode, each kernel would compile all modules anew, for six seconds or more: they
# share what is kept in the folder of the build.
if os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
    os.environ["PYTHONPYCACHEPREFIX"] = str(HERE / "_build" / "bytecode")

# The reference: docstrings as they stand.
autosummary_generate = True
autodoc_typehints = "none"  # numpydoc says them
numpydoc_show_class_members = False
templates_path = ["_templates"]
write_reference(HERE / "reference")

html_theme = "pydata_sphinx_theme"
html_title = "speclet_formula"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_show_sourcelink = False
html_theme_options = {
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "header_links_before_dropdown": 5,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_prev_next": True,
}


def _draw(translator, node):
    """Put a formula into the page as MathML, which browsers draw themselves: MathJax would come from the network."""
    translator.body.append(tex2mathml(node.astext(), as_block=isinstance(node, nodes.math_block)))
    raise nodes.SkipNode


def setup(app):
    """Draw formulas without MathJax."""
    app.add_html_math_renderer("mathml", inline_renderers=(_draw, None), block_renderers=(_draw, None))


html_math_renderer = "mathml"
