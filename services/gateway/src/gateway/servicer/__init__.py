"""The public API, one file per service. Servicers translate and decide nothing."""
