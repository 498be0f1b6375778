"""A made shelf of the wines: what stands on it is counted and compared with a plan."""
