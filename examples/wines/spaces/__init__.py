"""A space fitted on the example catalog, put into service by force, and retired."""
