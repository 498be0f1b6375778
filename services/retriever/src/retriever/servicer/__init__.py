"""The retriever on gRPC: a room for each service."""
