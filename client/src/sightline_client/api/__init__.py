"""The calls of the client, a module for each subject."""
