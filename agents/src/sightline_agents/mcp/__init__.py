"""The server of the Model Context Protocol: tools and resources."""
