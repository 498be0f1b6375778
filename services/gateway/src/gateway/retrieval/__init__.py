"""Sources of candidates: one module for each kind of branch."""
