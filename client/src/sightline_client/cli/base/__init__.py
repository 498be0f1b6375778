"""What every command is made of: options, running, progress."""
