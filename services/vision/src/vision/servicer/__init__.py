"""gRPC servicers of vision, one module each, and translations of messages."""
