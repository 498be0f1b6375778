#!/bin/sh
# Prints all missing prerequisites of this machine; exits 1 if there are any.
python="${1:-python3.11}"
missing=0
lacks() {
  printf 'missing: %s\n' "$1" >&2
  missing=1
}

[ "$(uname -s)" = Linux ] && [ "$(uname -m)" = x86_64 ] ||
  lacks "Linux on x86-64 (this is $(uname -s) on $(uname -m)): the engines have wheels for this platform only"
if command -v "$python" >/dev/null 2>&1; then
  "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null ||
    lacks "Python 3.11 ($python is $("$python" -V 2>&1)); name it with PYTHON="
  "$python" -c 'import ensurepip, venv' 2>/dev/null ||
    lacks "Python's venv (Debian: apt install python3.11-venv)"
  headers="$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))' 2>/dev/null)"
  [ -f "$headers/Python.h" ] || lacks "Python's headers (Debian: apt install python3.11-dev)"
else
  lacks "Python 3.11 (Debian 12: apt install python3 python3-venv python3-dev); name another with PYTHON="
fi
command -v cc >/dev/null 2>&1 || command -v gcc >/dev/null 2>&1 ||
  lacks "a C compiler (Debian: apt install gcc): LightFM is built from its source"
exit "$missing"
