"""Pages: their templates, and what is shown on them in words."""
