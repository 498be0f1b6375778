"""What the suite is compared with: third-party servers, and the bare arithmetic."""
