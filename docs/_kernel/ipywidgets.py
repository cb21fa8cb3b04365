"""In the way of ipywidgets while the site is built: sliders would load scripts from elsewhere, and
move nothing on a page without a kernel. Notebooks then show a few settings side by side."""

raise ImportError("the site is built without widgets")
