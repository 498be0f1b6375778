"""Watches: rules that are checked on the frames of cameras, and their alerts."""
