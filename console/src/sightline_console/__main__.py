"""Start of the command: `python -m sightline_console`."""

from sightline_console.cli import app

if __name__ == "__main__":
    app(prog_name="sightline-console")
