"""Real wines recommended from photos, by the whole suite on this machine.

python -m examples.wines.demo [--page PATH]
"""
