"""An open-loop load for a running suite: requests are sent on schedule."""
