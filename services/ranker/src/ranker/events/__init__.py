"""Events: intake, sampling, purges, retention, export."""
