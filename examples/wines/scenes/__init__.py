"""Every scene that is shipped, asked on the wines, as one page: ``make demo-scenes``."""
