"""Items in, a vector or a reason for each out."""
