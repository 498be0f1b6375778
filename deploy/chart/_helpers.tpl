{{- define "sightline.image" }}
{{- $values := (index . 0).Values.images }}
{{- $digest := index $values.digests (index . 1) }}
{{- $tag := $values.tag | default (index . 0).Chart.AppVersion }}
{{- printf "%s/%s" $values.registry (index . 1) }}{{ ternary (printf ":%s" $tag) (printf "@%v" $digest) (empty $digest) }}
{{- end }}
