import skcocoafuse

project = "skcocoafuse"
copyright = "the skcocoafuse developers"
version = release = skcocoafuse.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "sphinx_design",
    "sphinx-mathjax-offline",  # MathJax beside the pages: they read the same without a network
]
templates_path = ["_templates"]
exclude_patterns = ["_build"]
default_role = "literal"

autosummary_generate = True
autodoc_member_order = "bysource"
numpydoc_show_class_members = False  # the class template lists them, inherited ones included

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "nested_sections": True,  # a section per subfolder
    "reference_url": {"skcocoafuse": None},
    "show_signature": False,
    "write_computation_times": False,
}

html_theme = "pydata_sphinx_theme"
html_title = f"skcocoafuse {release}"
html_show_sourcelink = False
html_theme_options = {"show_toc_level": 2}
html_sidebars = {"getting_started": [], "whats_new": []}
