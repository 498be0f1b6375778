"""How a model comes about, apart from serving; needs the extra `train`."""
