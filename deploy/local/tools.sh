#!/bin/sh
# Installs what the tests need and PyPI does not carry. A tool that is still missing afterwards fails.
set -eu
# Command and the Debian package that has it.
tools="chromium=chromium kubectl=kubernetes-client node=nodejs npm=npm"

missing=""
for tool in $tools; do
  command -v "${tool%=*}" >/dev/null 2>&1 || missing="$missing ${tool#*=}"
done
[ -z "$missing" ] && exit 0

if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
  apt-get update -qq
  # shellcheck disable=SC2086
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi
failed=0
for tool in $tools; do
  command -v "${tool%=*}" >/dev/null 2>&1 || {
    printf 'missing: %s (Debian, as root: apt install %s)\n' "${tool%=*}" "${tool#*=}" >&2
    failed=1
  }
done
exit "$failed"
