"""Work on hostile input, in confined processes."""
