"""Simulation of a cluster, request by request: scaling of its services, and its cost."""
