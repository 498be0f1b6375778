"""Products in a photo that shows several."""
