"""The key of pseudonyms in tests."""

import hashlib

KEY = hashlib.sha256(b"people").hexdigest()
"""It orders shoppers, and so decides which of them a model is tested on: with a new one each time,
equal events would give unequal models."""
