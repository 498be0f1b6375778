"""The HTTP face: JSON over HTTP, Connect and OpenAPI, made from the protos alone."""
