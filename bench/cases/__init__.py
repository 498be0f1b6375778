"""What is measured: a module each, with `run(say) -> Result`."""
