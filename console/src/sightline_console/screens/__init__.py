"""Screens: each is a module with its templates, and a line in `application`."""
