"""compose.yaml, run with Docker or podman."""
