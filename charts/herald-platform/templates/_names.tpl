{{- define "herald.name" -}}
{{- .Values.nameOverride | default "herald" | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- /* The release's name when it already says herald, else <release>-herald. At most 50 characters: names of objects add up to 13. */ -}}
{{- define "herald.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" }}
{{- else if contains (include "herald.name" .) .Release.Name }}
{{- .Release.Name | trunc 50 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "herald.name" .) | trunc 50 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "herald.hostName" -}}
{{ include "herald.fullname" . }}-host
{{- end }}

{{- /* Of a release, for the life of its Deployment: selectors cannot be changed. */ -}}
{{- define "herald.hostSelector" -}}
app.kubernetes.io/name: {{ include "herald.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: host
{{- end }}

{{- define "herald.consoleSelector" -}}
app.kubernetes.io/name: {{ include "herald.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: console
{{- end }}

{{- define "herald.calloutSelector" -}}
app.kubernetes.io/name: {{ include "herald.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: nats-callout
{{- end }}

{{- define "herald.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 }}
app.kubernetes.io/name: {{ include "herald.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: herald
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "herald.image" -}}
{{- $name := printf "%s/%s" .Values.image.registry .Values.image.repository -}}
{{- if .Values.image.digest -}}
{{ $name }}@{{ .Values.image.digest }}
{{- else -}}
{{ $name }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- define "herald.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{ .Values.serviceAccount.name | default (include "herald.hostName" .) }}
{{- else -}}
{{ .Values.serviceAccount.name }}
{{- end -}}
{{- end }}

{{- define "herald.trustDomainUri" -}}
spiffe://{{ .Values.trustDomain }}
{{- end }}

{{- /* The delegate that the SPIRE agent must list in authorized_delegates; parent of every component's entry. */ -}}
{{- define "herald.hostSpiffeId" -}}
{{ include "herald.trustDomainUri" . }}{{ .Values.spire.hostIdPath }}
{{- end }}

{{- /* Node alias of the sidecar agents: one parent for entries, whichever pod runs the agent. */ -}}
{{- define "herald.sidecarAgentsSpiffeId" -}}
{{ include "herald.hostSpiffeId" . }}/agents
{{- end }}

{{- /* Workload API of SPIRE inside the host's container, where it shows NATS its own SVID: the private agent's, or the one that the CSI driver brings. */ -}}
{{- define "herald.workloadSocketPath" -}}
/run/spire/workload/{{ if eq .Values.spire.adminSocket.mode "sidecar" }}agent.sock{{ else }}{{ .Values.spire.workloadSocket.fileName }}{{ end }}
{{- end }}

{{- /* Directory and file of the admin socket inside the host's container. */ -}}
{{- define "herald.adminSocketDirectory" -}}
/run/spire/admin
{{- end }}
{{- define "herald.adminSocketPath" -}}
{{ include "herald.adminSocketDirectory" . }}/{{ if eq .Values.spire.adminSocket.mode "hostPath" }}{{ .Values.spire.adminSocket.hostPath.fileName }}{{ else }}admin.sock{{ end }}
{{- end }}
