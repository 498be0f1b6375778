"""The four services in one process; see docs/operate/one-process.md."""
