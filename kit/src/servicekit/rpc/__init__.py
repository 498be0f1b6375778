"""gRPC: servers, channels, and what happens around each call."""
