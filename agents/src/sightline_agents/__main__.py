"""Start of the commands: `python -m sightline_agents`."""

from sightline_agents.cli import app

if __name__ == "__main__":
    app(prog_name="sightline-agents")
