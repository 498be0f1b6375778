"""Transport: channel, calls, batches."""
