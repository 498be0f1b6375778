"""ProtoJSON by tables made once from descriptors (protobuf.dev/programming-guides/json)."""
