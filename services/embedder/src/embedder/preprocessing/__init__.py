"""Preprocessing: from a decoded photo to the pixels that a model takes."""
