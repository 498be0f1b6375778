#!/bin/sh
# Runs a module of that release whose folder stands in a file: launch.sh FILE MODULE
cd "$(cat "$1")" && exec .venv/bin/python -m "$2"
