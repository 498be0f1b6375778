"""What the worker does beside the server."""
