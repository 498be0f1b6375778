"""Shared parts of all commands: options, running, progress."""
