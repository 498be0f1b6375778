"""Between plain values and the contract's messages."""
