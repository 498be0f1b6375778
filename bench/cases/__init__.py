"""The benches: a module each, with `run(say) -> BenchResult`."""
