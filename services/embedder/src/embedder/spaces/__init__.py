"""Use cases of fitted spaces: fit, list, promote, retire."""
