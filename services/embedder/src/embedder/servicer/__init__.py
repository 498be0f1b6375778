"""The gRPC services: messages to values and back."""
