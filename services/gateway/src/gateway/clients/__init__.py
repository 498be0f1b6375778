"""The services behind the gateway, as values of its own. They translate and decide nothing."""
