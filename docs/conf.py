"""Sphinx's settings for the site: offline, without anything that is fetched or counted."""

from __future__ import annotations

project = "rmplug"
author = "the rmplug contributors"
extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
root_doc = "index"
exclude_patterns: list[str] = []
language = "en"

# an anchor for each heading, so that links to headings are checked too
myst_heading_anchors = 4
myst_links_external_new_tab = False

# quotes and dashes stay as they are written: many stand in what is to be copied
smartquotes = False

html_theme = "furo"
html_title = "rmplug"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_show_copyright = False
html_use_index = False
html_last_updated_fmt = None
# what Python, YAML and shell blocks are coloured as, by day and by night
pygments_style = "friendly"
pygments_dark_style = "monokai"
highlight_language = "none"
