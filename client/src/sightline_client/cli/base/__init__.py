"""Base of all commands: options, running, progress."""
