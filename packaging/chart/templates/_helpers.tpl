{{- define "lockstep.name" -}}
{{- if contains .Chart.Name .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "lockstep.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "lockstep.labels" -}}
{{ include "lockstep.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- /* Whether there are several servers, "" if not. What that takes is demanded here. */}}
{{- define "lockstep.several" -}}
{{- if gt (int .Values.replicas) 1 }}
{{- $state := .Values.config.state | default dict }}
{{- $access := .Values.config.access | default dict }}
{{- $repository := .Values.config.repository | default dict }}
{{- if not $state.postgres }}{{ fail "replicas: several servers need config.state.postgres; see docs/fleet.md" }}{{ end }}
{{- if not $access.pepper_file }}{{ fail "replicas: several servers need one pepper: put 64 hexadecimal digits into a Secret, name it in secrets, and the file in config.access.pepper_file" }}{{ end }}
{{- if or (not $repository) $repository.dir }}{{ fail "replicas: several servers need a repository that all of them reach, not a folder of one's volume: name it in config.repository" }}{{ end }}
{{- if .Values.persistence.existingClaim }}{{ fail "replicas: each of several servers has a volume of its own; take persistence.existingClaim out" }}{{ end }}
{{- "several" }}
{{- end }}
{{- end }}

{{- /* What the pods belong to, as kubectl names it. */}}
{{- define "lockstep.workload" -}}
{{ if include "lockstep.several" . }}statefulset{{ else }}deployment{{ end }}/{{ include "lockstep.name" . }}
{{- end }}

{{- define "lockstep.account" -}}
{{- if .Values.serviceAccount.create }}{{ .Values.serviceAccount.name | default (include "lockstep.name" .) }}{{ else }}{{ .Values.serviceAccount.name | default "default" }}{{ end }}
{{- end }}

{{- define "lockstep.certificate" -}}
{{ .Values.tls.existingSecret | default (printf "%s-tls" (include "lockstep.name" .)) }}
{{- end }}

{{- /* The configuration, with what the chart decides. */}}
{{- define "lockstep.config" -}}
{{- $server := dict "listen" "0.0.0.0:7420" "tls" (dict "cert_file" "tls/tls.crt" "key_file" "tls/tls.key") }}
{{- with .Values.publicURL }}{{ $_ := set $server "public_url" . }}{{ end }}
{{- $own := dict "state_dir" "/var/lib/lockstep/state" "server" $server }}
{{- $repository := dict }}
{{- if not .Values.config.repository }}{{ $repository = dict "repository" (dict "dir" "/var/lib/lockstep/backups") }}{{ end }}
{{- mergeOverwrite (deepCopy .Values.config) $repository $own | toYaml }}
{{- end }}

{{- /* The rules that the configuration takes, as JSON: lists of rules by namespace. They
are those of `lockstep kubernetes rbac`; a test compares them. What has a kubeconfig or a
context logs in as somebody else. */}}
{{- define "lockstep.rules" -}}
{{- $rules := dict }}
{{- range $deployment := .Values.config.deployments }}
{{- $parts := list }}
{{- $own := list }}
{{- range $group := $deployment.instance_groups }}
{{- $pods := list }}
{{- range $group.instances }}{{ with .pod }}{{ $pods = append $pods . }}{{ end }}{{ end }}
{{- if hasKey $group "kubernetes" }}{{ $parts = append $parts (dict "way" ($group.kubernetes | default dict) "pods" $pods) }}
{{- else }}{{ $own = concat $own $pods }}{{ end }}
{{- end }}
{{- if hasKey $deployment "kubernetes" }}{{ $parts = append $parts (dict "way" ($deployment.kubernetes | default dict) "pods" $own) }}{{ end }}
{{- range $part := $parts }}
{{- $way := $part.way }}
{{- $finds := or $way.stateful_set $way.deployment $way.selector }}
{{- if and (not $way.kubeconfig) (not $way.context) (or $finds $part.pods) }}
{{- $at := $way.namespace | default "default" }}
{{- $new := list (dict "apiGroups" (list "events.k8s.io") "resources" (list "events") "verbs" (list "create")) }}
{{- if $finds }}
{{- $new = append $new (dict "apiGroups" (list "") "resources" (list "pods/exec") "verbs" (list "create" "get")) }}
{{- $new = append $new (dict "apiGroups" (list "") "resources" (list "pods") "verbs" (list "list")) }}
{{- with $way.stateful_set }}{{ $new = append $new (dict "apiGroups" (list "apps") "resources" (list "statefulsets") "resourceNames" (list .) "verbs" (list "get")) }}{{ end }}
{{- with $way.deployment }}{{ $new = append $new (dict "apiGroups" (list "apps") "resources" (list "deployments") "resourceNames" (list .) "verbs" (list "get")) }}{{ end }}
{{- else }}
{{- $new = append $new (dict "apiGroups" (list "") "resources" (list "pods/exec") "resourceNames" $part.pods "verbs" (list "create" "get")) }}
{{- $new = append $new (dict "apiGroups" (list "") "resources" (list "pods") "resourceNames" $part.pods "verbs" (list "get")) }}
{{- end }}
{{- $_ := set $rules $at (concat (get $rules $at | default list) $new | uniq) }}
{{- end }}
{{- end }}
{{- end }}
{{- toJson $rules }}
{{- end }}
