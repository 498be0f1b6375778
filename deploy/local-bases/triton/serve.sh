#!/bin/sh
# tritonserver of the wheel nvidia-pytriton: models run in its Python backend, by their default configurations.
set -eu
for word in "$@"; do
  shift
  case "$word" in --model-config-name=*) ;; *) set -- "$@" "$word" ;; esac
done
packages=/opt/packages/lib/python3.11/site-packages
# The server sets the mode of the backend's program, also where the root file system is read-only.
rm -rf /tmp/backends
cp -r /opt/stand-in/backends /tmp/backends
export LD_LIBRARY_PATH="$packages/nvidia_pytriton.libs" PATH="/opt/packages/bin:$PATH" PYTHONDONTWRITEBYTECODE=1
exec "$packages/pytriton/tritonserver/bin/tritonserver" \
  --backend-directory=/tmp/backends \
  "--backend-config=python,shm-region-prefix-name=stand_in_$$_" \
  --disable-auto-complete-config "$@"
