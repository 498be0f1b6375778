"""Who may call, how much at a time, and in which order."""
