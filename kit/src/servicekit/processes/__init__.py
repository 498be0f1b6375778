"""Processes of a program: several at one port, their memory and priority."""
