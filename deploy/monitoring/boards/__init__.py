"""What is on each dashboard: panels by row, in plain words, and the queries behind them."""
