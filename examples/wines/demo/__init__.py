"""Real wines recommended from photos, by the whole suite on this machine: ``make demo``."""
