"""Loops, queues and shared values of asyncio."""
