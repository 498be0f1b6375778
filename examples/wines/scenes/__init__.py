"""Every built-in scene on the wines, as one page: ``make demo-scenes``."""
