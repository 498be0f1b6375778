"""What answers led to: rates, estimates of other orders, clicks and drift. Pure."""
