"""The retriever on gRPC: a module for each service, and its messages."""
