"""A real Triton server on one machine: builds the model, then launches the server on it."""
