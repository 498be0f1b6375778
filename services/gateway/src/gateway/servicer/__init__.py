"""The public API on the wire, one file a service. Edges: they translate and decide nothing."""
