"""gRPC servicers of the retriever, one module each, and translations of messages."""
