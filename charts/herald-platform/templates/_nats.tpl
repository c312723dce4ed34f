{{- /* NATS URLs, one a line; nothing without a lattice. */ -}}
{{- define "herald.natsServers" -}}
{{- if .Values.nats.enabled -}}
nats://{{ include "herald.natsName" . }}:{{ dig "config" "nats" "port" 4222 .Values.nats }}
{{- else -}}
{{- range .Values.lattice.servers }}
{{ tpl . $ }}
{{- end }}
{{- end -}}
{{- end }}

{{- /* The Service of the NATS sub-chart, by that chart's own rule. */ -}}
{{- define "herald.natsName" -}}
{{- $name := .Values.nats.nameOverride | default "nats" -}}
{{- if .Values.nats.fullnameOverride -}}
{{ .Values.nats.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains $name .Release.Name -}}
{{ .Release.Name | trunc 63 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{- /* How to connect to NATS, nothing without a lattice. As volumes and mounts: of a dict of `root` and `credentials`, those of hosts or of the console. */ -}}
{{- define "herald.natsArgs" -}}
{{- $servers := include "herald.natsServers" .root | trim -}}
{{- if $servers -}}
{{- range splitList "\n" $servers }}
- --nats={{ . }}
{{- end }}
{{- with .credentials }}
{{- if eq .kind "creds" }}
- --nats-creds=/etc/herald/nats-credentials/creds
{{- else if eq .kind "nkey" }}
- --nats-nkey=/etc/herald/nats-credentials/nkey
{{- else if eq .kind "token" }}
- --nats-token-file=/etc/herald/nats-credentials/token
{{- else if eq .kind "svid" }}
- --nats-svid
- --nats-audience={{ .audience }}
{{- end }}
{{- end }}
{{- with .root.Values.lattice.tls }}
{{- if .caSecret }}
- --nats-ca=/etc/herald/nats-ca/ca.crt
{{- end }}
{{- if .clientSecret }}
- --nats-cert=/etc/herald/nats-client/tls.crt
- --nats-key=/etc/herald/nats-client/tls.key
{{- end }}
{{- if .first }}
- --nats-tls-first
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- define "herald.natsMounts" -}}
{{- if not (has .credentials.kind (list "none" "svid")) }}
- {name: nats-credentials, mountPath: /etc/herald/nats-credentials, readOnly: true}
{{- end }}
{{- if .root.Values.lattice.tls.caSecret }}
- {name: nats-ca, mountPath: /etc/herald/nats-ca, readOnly: true}
{{- end }}
{{- if .root.Values.lattice.tls.clientSecret }}
- {name: nats-client, mountPath: /etc/herald/nats-client, readOnly: true}
{{- end }}
{{- end }}
{{- define "herald.natsVolumes" -}}
{{- if not (has .credentials.kind (list "none" "svid")) }}
- name: nats-credentials
  secret:
    secretName: {{ .credentials.secretName }}
    defaultMode: 0440
    items: [{key: {{ .credentials.secretKey }}, path: {{ .credentials.kind }}}]
{{- end }}
{{- if .root.Values.lattice.tls.caSecret }}
- name: nats-ca
  secret: {secretName: {{ .root.Values.lattice.tls.caSecret }}, items: [{key: {{ .root.Values.lattice.tls.caKey }}, path: ca.crt}]}
{{- end }}
{{- if .root.Values.lattice.tls.clientSecret }}
- name: nats-client
  secret: {secretName: {{ .root.Values.lattice.tls.clientSecret }}, defaultMode: 0440}
{{- end }}
{{- end }}

{{- /* Egress rules of whoever is on the lattice: to names and to NATS. */ -}}
{{- define "herald.latticeEgress" -}}
- to:
    - namespaceSelector:
        matchLabels:
          kubernetes.io/metadata.name: {{ .Values.networkPolicy.dns.namespace }}
      podSelector:
        matchLabels:
          {{- toYaml .Values.networkPolicy.dns.podLabels | nindent 10 }}
  ports:
    - {port: 53, protocol: UDP}
    - {port: 53, protocol: TCP}
{{- if .Values.nats.enabled }}
- to:
    - podSelector:
        matchLabels:
          app.kubernetes.io/name: {{ .Values.nats.nameOverride | default "nats" }}
          app.kubernetes.io/instance: {{ .Release.Name }}
          app.kubernetes.io/component: nats
  ports:
    - {port: {{ dig "config" "nats" "port" 4222 .Values.nats }}, protocol: TCP}
{{- else if .Values.lattice.servers }}
- to:
    {{- if .Values.networkPolicy.natsPeers }}
    {{- toYaml .Values.networkPolicy.natsPeers | nindent 4 }}
    {{- else }}
    - namespaceSelector: {}
    {{- end }}
  ports:
    {{- $ports := list }}
    {{- range splitList "\n" (include "herald.natsServers" . | trim) }}
    {{- $ports = append $ports (regexFind ":[0-9]+$" . | trimPrefix ":" | default "4222") }}
    {{- end }}
    {{- range uniq $ports }}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
{{- end }}
{{- end }}

{{- /* Egress rule of whoever sends telemetry, nothing without a collector. */ -}}
{{- define "herald.otlpEgress" -}}
{{- with .Values.otlp.endpoint -}}
# The collector of OpenTelemetry.
- to:
    {{- if $.Values.networkPolicy.otlpPeers }}
    {{- toYaml $.Values.networkPolicy.otlpPeers | nindent 4 }}
    {{- else }}
    - namespaceSelector: {}
    {{- end }}
  ports:
    - {port: {{ regexFind ":[0-9]+(/|$)" . | trimPrefix ":" | trimSuffix "/" | default (ternary "443" "80" (hasPrefix "https:" .)) }}, protocol: TCP}
{{- end }}
{{- end }}
