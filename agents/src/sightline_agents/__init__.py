"""Sightline for software agents: servers of the Model Context Protocol and of UCP."""
