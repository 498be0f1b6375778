"""Sightline for software agents: a server of the Model Context Protocol."""
