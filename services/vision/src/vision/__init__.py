import servicekit  # noqa: F401 - before gRPC, for which it sets what is read once
