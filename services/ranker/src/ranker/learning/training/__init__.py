"""Training of models; needs the extra `train`."""
