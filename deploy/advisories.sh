#!/bin/sh
# Checks the locked packages for published advisories: uv's locks with OSV (https://osv.dev), npm's with its
# registry. Exits 1 if there are any. If the service can't be reached, it prints NOT MEASURED and the reason.
# OSV_URL= names another service with OSV's API, such as a mirror.
set -u
cd "${1:-$(dirname "$0")/..}" || exit
uv="${UV:-.tools/bin/uv}"
bad=0

judge() { # lock, exit status (0 = none, 1 = advisories, other = the check failed), output
  case "$2" in
    0) echo "$1: no advisory" ;;
    1) printf '%s: ADVISORIES\n%s\n' "$1" "$3" && bad=1 ;;
    *) printf '%s: NOT MEASURED: %s\n' "$1" "$(printf '%s' "$3" | tr -s '\n ' ' ' | cut -c 1-300)" ;;
  esac
}

for lock in $(git ls-files '*uv.lock'); do
  said=$("$uv" audit --quiet --locked --preview-features audit-command --project "$(dirname "$lock")" \
    ${OSV_URL:+--service-url "$OSV_URL"} 2>&1)
  judge "$lock" "$?" "$said"
done
for lock in $(git ls-files '*package-lock.json'); do
  said=$(npm audit --package-lock-only --prefix "$(dirname "$lock")" 2>&1)
  status=$?
  case "$said" in *"npm error"* | *"not found"*) status=2 ;; esac
  judge "$lock" "$status" "$said"
done
exit "$bad"
