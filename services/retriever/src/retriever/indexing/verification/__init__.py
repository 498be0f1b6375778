"""Whether a generation is as good as it should be: a job of the worker."""
