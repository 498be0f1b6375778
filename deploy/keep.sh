#!/bin/sh
# Backs up keys, scenes, experiments and settings: files, or the Secrets and ConfigMaps of a namespace.
# The backup is encrypted for a certificate; the machines that make or store it can't decrypt it:
#   openssl req -x509 -newkey rsa:4096 -days 36500 -subj /CN=sightline-keys -keyout keep.key -out keep.crt
#   deploy/keep.sh save FILE keep.crt PATH...                     deploy/keep.sh save FILE keep.crt --namespace sightline
#   deploy/keep.sh restore FILE keep.key FOLDER                   deploy/keep.sh restore FILE keep.key --namespace sightline
# keep.key is protected by a passphrase; store it on none of the machines that it restores. Restoring replaces the
# files of a folder, but not objects that exist in a namespace: their names are printed.
set -eu
umask 077
usage() { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
[ $# -ge 4 ] || usage
what=$1 file=$2 key=$3
shift 3
draft=$(mktemp -d)
trap 'rm -rf "$draft"' EXIT

# Print the objects without the metadata that the cluster adds; values of Secrets are in base64.
objects() { # namespace
  for type in Opaque kubernetes.io/tls kubernetes.io/dockerconfigjson; do
    # shellcheck disable=SC2016 # $key and $value are variables of the template
    kubectl -n "$1" get secrets --field-selector "type=$type" -o go-template='{{range .items}}{{template "one" .}}{{end}}
{{- define "one"}}---
apiVersion: v1
kind: Secret
type: {{.type}}
metadata: { name: {{.metadata.name}}, labels: { app.kubernetes.io/part-of: sightline } }
data:
{{range $key, $value := .data}}  {{printf "%q" $key}}: {{printf "%q" $value}}
{{end}}{{end}}'
  done
  # shellcheck disable=SC2016
  kubectl -n "$1" get configmaps -o go-template='{{range .items}}{{if not (or (eq .metadata.name "kube-root-ca.crt") (eq .metadata.name "openshift-service-ca.crt"))}}---
apiVersion: v1
kind: ConfigMap
metadata: { name: {{.metadata.name}}, labels: { app.kubernetes.io/part-of: sightline } }
data:
{{range $key, $value := .data}}  {{printf "%q" $key}}: {{printf "%q" $value}}
{{end}}{{end}}{{end}}'
}

case "$what" in
  save)
    if [ "$1" = --namespace ]; then
      objects "$2" >"$draft/objects.yaml"
      grep -q '^kind: Secret' "$draft/objects.yaml" || { echo "no Secret in the namespace $2" >&2; exit 1; }
      set -- -C "$draft" objects.yaml
    fi
    tar -cf "$draft/kept.tar" "$@"
    openssl cms -encrypt -binary -outform DER -aes-256-gcm -in "$draft/kept.tar" -out "$draft/kept" "$key"
    mv "$draft/kept" "$file"
    ;;
  restore)
    openssl cms -decrypt -binary -inform DER -in "$file" -inkey "$key" -out "$draft/kept.tar"
    if [ "$1" = --namespace ]; then
      tar -xf "$draft/kept.tar" -C "$draft" objects.yaml
      kubectl -n "$2" create -f "$draft/objects.yaml"
    else
      mkdir -p "$1"
      tar -xpf "$draft/kept.tar" -C "$1"
    fi
    ;;
  *) usage ;;
esac
