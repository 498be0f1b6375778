"""Contents of the dashboards: panels by row, with descriptions and queries."""
