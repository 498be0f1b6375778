"""Measurements of the suite on this machine: ``python -m bench [name …]``."""
