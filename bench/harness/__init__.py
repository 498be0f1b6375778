"""Shared parts of benches: processes, servers, load, statistics, reports."""
