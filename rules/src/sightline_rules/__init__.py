"""Pure functions on plain values that several services share; they import nothing of ours."""
