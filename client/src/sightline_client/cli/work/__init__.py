"""What commands do that takes longer than one call."""
