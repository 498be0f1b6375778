"""What benches are made with: processes, servers, load, statistics, reports."""
