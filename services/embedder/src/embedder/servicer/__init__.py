"""gRPC servicers: messages to values and back."""
