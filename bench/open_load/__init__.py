"""An open-loop load for a running suite: requests go out at their time, whatever became of those
before."""
