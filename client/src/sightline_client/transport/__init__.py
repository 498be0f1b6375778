"""How messages reach the suite: channel, calls, batches."""
