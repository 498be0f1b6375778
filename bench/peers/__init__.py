"""What the suite is measured beside: other people's servers, and the bare arithmetic."""
