import skcocoafuse

project = "skcocoafuse"
copyright = "the skcocoafuse developers"
version = release = skcocoafuse.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "sphinx_design",
    "sphinx-mathjax-offline",  # MathJax beside the pages: they read the same without a network
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "benchmark"]
default_role = "literal"
nitpicky = True

autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings have the types
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False  # the class template lists them, inherited ones included


def inventory(project: str, url: str) -> tuple[str, tuple[str | None, str]]:
    """Address of another documentation; the file here has the names we use, for offline builds."""
    return url, (None, f"inventories/{project}.txt")


intersphinx_mapping = {
    "arviz": inventory("arviz", "https://python.arviz.org/en/stable/"),
    "joblib": inventory("joblib", "https://joblib.readthedocs.io/en/stable/"),
    "matplotlib": inventory("matplotlib", "https://matplotlib.org/stable/"),
    "numpy": inventory("numpy", "https://numpy.org/doc/stable/"),
    "pandas": inventory("pandas", "https://pandas.pydata.org/docs/"),
    "pymc": inventory("pymc", "https://www.pymc.io/projects/docs/en/stable/"),
    "python": inventory("python", "https://docs.python.org/3/"),
    "scipy": inventory("scipy", "https://docs.scipy.org/doc/scipy/"),
    "sklearn": inventory("sklearn", "https://scikit-learn.org/stable/"),
}
intersphinx_timeout = 5

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "nested_sections": True,  # a section per subfolder
    "doc_module": ("skcocoafuse",),
    "backreferences_dir": "generated/backreferences",  # "Examples using ..." on pages of the API
    "show_signature": False,
    "write_computation_times": False,
    "remove_config_comments": True,  # the numbers of thumbnails
}

html_theme = "pydata_sphinx_theme"
html_title = f"skcocoafuse {release}"
html_static_path = ["_static"]
html_css_files = ["custom.css"]
html_show_sourcelink = False
html_theme_options = {
    "header_links_before_dropdown": 4,
    "logo": {"text": project},
    "show_toc_level": 2,
}
html_sidebars = {
    page: []
    for page in (
        "benchmarks",
        "bibliography",
        "extending",
        "getting_started",
        "glossary",
        "whats_new",
    )
}
