#!/bin/sh
# The server of the wheel milvus, which never ends by SIGTERM: it is killed a second later.
set -u
LD_LIBRARY_PATH=/opt/milvus /opt/milvus/milvus "$@" &
server=$!
trap 'kill -TERM $server; sleep 1; kill -KILL $server; exit 0' TERM INT
wait $server
