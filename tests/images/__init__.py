"""Runs of the images that `make images CONTAINER=podman` built: see `tests.images.__main__`."""
