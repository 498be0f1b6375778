"""Peers of the suite in benches: third-party servers, and the plain computation."""
