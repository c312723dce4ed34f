{{- define "herald.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "herald.containerSecurityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "herald.hostArgs" -}}
- host
{{- range $name := keys .Values.workloads | sortAlpha }}
- --file=/etc/herald/workloads/{{ $name }}.yaml
{{- end }}
- --http=:{{ int .Values.host.http.port }}
- --health=:{{ int .Values.host.health.port }}
- --spire-admin-socket={{ include "herald.adminSocketPath" . }}
- --lattice={{ .Values.lattice.name }}
{{- with .Values.host.environment }}
- --environment={{ . }}
{{- end }}
{{- $nats := include "herald.natsArgs" (dict "root" . "credentials" .Values.lattice.credentials) | trim }}
{{- if $nats }}
{{ $nats }}
- --hostgroup={{ .Values.host.group }}
- --hostname=$(POD_IP)
- --friendly-name=$(POD_NAME)
- --stop-delay={{ .Values.host.stopDelay }}
{{- else }}
- --label=hostgroup={{ .Values.host.group }}
{{- end }}
{{- if include "herald.hostShowsSvid" . }}
- --spire-workload-socket={{ include "herald.workloadSocketPath" . }}
- --own-spiffe-id={{ include "herald.hostSpiffeId" . }}
{{- end }}
{{- range $key := keys .Values.host.labels | sortAlpha }}
- {{ printf "--label=%s=%s" $key (get $.Values.host.labels $key) | quote }}
{{- end }}
{{- range .Values.host.allowedHostPaths }}
- {{ printf "--allow-host-path=%s" . | quote }}
{{- end }}
- --image-cache=/var/cache/herald
- --image-cache-size={{ int .Values.host.imageCacheMiB }}
{{- if .Values.host.artifactCache.enabled }}
- --artifact-cache=/var/cache/artifacts/herald
{{- end }}
{{- range .Values.host.registries.plainHttp }}
- --plain-http-registry={{ . }}
{{- end }}
{{- range $registry, $mirrors := .Values.host.registries.mirrors }}
- --registry-mirror={{ $registry }}={{ join "," $mirrors }}
{{- end }}
{{- range $registry, $identity := .Values.host.registries.identities }}
- {{ include "herald.registryIdentity" (dict "registry" $registry "identity" $identity) | quote }}
{{- end }}
- --memory-limit={{ int .Values.host.memoryLimitMiB }}
{{- with int .Values.host.cpuLimitMillicores }}
- --cpu-limit={{ . }}m
{{- end }}
- --isolation={{ .Values.host.isolation }}
- --request-timeout={{ .Values.host.requestTimeout }}
- --idle-timeout={{ .Values.host.idleTimeout }}
- --warm-cells={{ int .Values.host.warmCells }}
- --drain-delay={{ int .Values.host.endpointRemovalSeconds }}s
- --drain-timeout={{ .Values.host.drainTimeout }}
- --log-level={{ .Values.host.logLevel }}
- --log-format=json
- --output=json
{{- end }}

{{- define "herald.registryIdentity" -}}
--registry-identity={{ .registry }}={{ .identity.audience }}
{{- with .identity.tokenService }},token-service={{ . }}{{ end }}
{{- with .identity.service }},service={{ . }}{{ end }}
{{- with .identity.grant }},grant={{ . }}{{ end }}
{{- end }}

{{- /* Not empty where the host shows its own SVID to somebody. */ -}}
{{- define "herald.hostShowsSvid" -}}
{{- if or (eq .Values.lattice.credentials.kind "svid") .Values.host.registries.identities }}true{{ end -}}
{{- end }}

{{- /* OpenTelemetry's own variables, nothing without an endpoint. */ -}}
{{- define "herald.otlpEnv" -}}
{{- with .Values.otlp -}}
{{- if .endpoint -}}
- {name: OTEL_EXPORTER_OTLP_ENDPOINT, value: {{ tpl .endpoint $ | quote }}}
{{- if .headersSecret }}
- name: OTEL_EXPORTER_OTLP_HEADERS
  valueFrom: {secretKeyRef: {name: {{ .headersSecret }}, key: {{ .headersKey }}}}
{{- end }}
- name: NODE_NAME
  valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
{{- $attributes := list (printf "k8s.namespace.name=%s" $.Release.Namespace) "k8s.pod.name=$(POD_NAME)" "k8s.node.name=$(NODE_NAME)" }}
{{- range $key := keys .resourceAttributes | sortAlpha }}
{{- $attributes = append $attributes (printf "%s=%s" $key (get $.Values.otlp.resourceAttributes $key)) }}
{{- end }}
- {name: OTEL_RESOURCE_ATTRIBUTES, value: {{ join "," $attributes | quote }}}
{{- end }}
{{- end }}
{{- end }}

{{- define "herald.podTemplate" -}}
{{- $socket := .Values.spire.adminSocket -}}
{{- $sidecar := eq $socket.mode "sidecar" -}}
metadata:
  labels:
    {{- include "herald.labels" . | nindent 4 }}
    app.kubernetes.io/component: host
    {{- if .Values.host.operatorFinalizer }}
    wasmcloud.com/hostgroup: {{ .Values.host.group }}
    {{- end }}
    {{- with .Values.host.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- if or .Values.workloads $sidecar .Values.host.podAnnotations }}
  annotations:
    {{- if .Values.workloads }}
    checksum/workloads: {{ toYaml .Values.workloads | sha256sum }}
    {{- end }}
    {{- if $sidecar }}
    checksum/spire-agent: {{ include "herald.sidecarAgentConfig" . | sha256sum }}
    {{- end }}
    {{- with .Values.host.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- end }}
spec:
  serviceAccountName: {{ include "herald.serviceAccountName" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.host.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.host.runtimeClassName }}
  runtimeClassName: {{ . }}
  {{- end }}
  terminationGracePeriodSeconds: {{ include "herald.gracePeriodSeconds" . }}
  securityContext:
    {{- include "herald.podSecurityContext" . | nindent 4 }}
    {{- if not $sidecar }}
    supplementalGroups: [{{ int $socket.hostPath.socketGroup }}]
    {{- end }}
  {{- if $sidecar }}
  # The agent reads /proc/<pid> of whoever calls it, so it must see the host's process.
  shareProcessNamespace: true
  initContainers:
    - name: spire-agent
      image: {{ $socket.sidecar.image }}
      # A sidecar of Kubernetes' own kind: started before the host, ended after it.
      restartPolicy: Always
      command: [/opt/spire/bin/spire-agent, run]
      args: [-config, /etc/spire/agent.conf]
      securityContext:
        {{- include "herald.containerSecurityContext" . | nindent 8 }}
      startupProbe:
        httpGet: {path: /ready, port: 9982}
        periodSeconds: 2
        failureThreshold: 90
      livenessProbe:
        httpGet: {path: /live, port: 9982}
        periodSeconds: 20
        failureThreshold: 3
      resources:
        {{- toYaml $socket.sidecar.resources | nindent 8 }}
      volumeMounts:
        - {name: spire-agent-config, mountPath: /etc/spire, readOnly: true}
        - {name: spire-bundle, mountPath: /run/spire/bundle, readOnly: true}
        - {name: spire-agent-token, mountPath: /var/run/secrets/tokens, readOnly: true}
        - {name: spire-agent-data, mountPath: /var/lib/spire}
        - {name: spire-workload-socket, mountPath: /run/spire/workload}
        - {name: spire-admin, mountPath: {{ include "herald.adminSocketDirectory" . }}}
  {{- end }}
  containers:
    - name: host
      image: {{ include "herald.image" . }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args:
        {{- include "herald.hostArgs" . | nindent 8 }}
      env:
        - name: POD_NAME
          valueFrom: {fieldRef: {fieldPath: metadata.name}}
        - name: POD_IP
          valueFrom: {fieldRef: {fieldPath: status.podIP}}
        {{- if .Values.host.registries.credentialsSecret }}
        - {name: DOCKER_CONFIG, value: /etc/herald/docker}
        {{- end }}
        {{- include "herald.otlpEnv" . | nindent 8 }}
        {{- with .Values.host.extraEnv }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      ports:
        - {name: http, containerPort: {{ int .Values.host.http.port }}, protocol: TCP}
        - {name: health, containerPort: {{ int .Values.host.health.port }}, protocol: TCP}
      startupProbe:
        httpGet: {path: /livez, port: health}
        periodSeconds: 2
        timeoutSeconds: 5
        failureThreshold: 60
      # Not ready while workloads start, until NATS was connected once, and from SIGTERM on.
      readinessProbe:
        httpGet: {path: /readyz, port: health}
        periodSeconds: 5
        timeoutSeconds: 5
        failureThreshold: 2
      # A thread that does not answer for 2 s, or a guest that cannot be ended, fails it.
      livenessProbe:
        httpGet: {path: /livez, port: health}
        periodSeconds: 20
        timeoutSeconds: 5
        failureThreshold: 3
      securityContext:
        {{- include "herald.containerSecurityContext" . | nindent 8 }}
      resources:
        {{- toYaml .Values.host.resources | nindent 8 }}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
        - {name: image-cache, mountPath: /var/cache/herald}
        {{- if .Values.host.artifactCache.enabled }}
        - {name: artifact-cache, mountPath: /var/cache/artifacts}
        {{- end }}
        - {name: spire-admin, mountPath: {{ include "herald.adminSocketDirectory" . }}{{ if not $sidecar }}, readOnly: true{{ end }}}
        {{- if include "herald.hostShowsSvid" . }}
        - {name: spire-workload-socket, mountPath: /run/spire/workload, readOnly: true}
        {{- end }}
        {{- if .Values.workloads }}
        - {name: workloads, mountPath: /etc/herald/workloads, readOnly: true}
        {{- end }}
        {{- include "herald.natsMounts" (dict "root" . "credentials" .Values.lattice.credentials) | indent 8 }}
        {{- if .Values.host.registries.credentialsSecret }}
        - {name: registry-credentials, mountPath: /etc/herald/docker, readOnly: true}
        {{- end }}
        {{- with .Values.host.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
  volumes:
    - name: tmp
      emptyDir: {sizeLimit: {{ .Values.host.temporarySize }}}
    - name: image-cache
      # A pull goes beyond the cache's size before the oldest are removed.
      emptyDir: {sizeLimit: {{ add (int .Values.host.imageCacheMiB) 512 }}Mi}
    {{- if .Values.host.artifactCache.enabled }}
    # The host makes a directory of its own in it: it runs nothing from one that others may write to.
    - name: artifact-cache
      emptyDir: {sizeLimit: {{ .Values.host.artifactCache.sizeLimit }}}
    {{- end }}
    - name: spire-admin
      {{- if $sidecar }}
      emptyDir: {medium: Memory, sizeLimit: 1Mi}
      {{- else }}
      hostPath: {path: {{ $socket.hostPath.directory }}, type: Directory}
      {{- end }}
    {{- if $sidecar }}
    - name: spire-workload-socket
      emptyDir: {medium: Memory, sizeLimit: 1Mi}
    - name: spire-agent-data
      emptyDir: {medium: Memory, sizeLimit: 16Mi}
    - name: spire-agent-config
      configMap: {name: {{ include "herald.fullname" . }}-spire-agent}
    - name: spire-bundle
      configMap: {name: {{ $socket.sidecar.trustBundleConfigMap }}}
    - name: spire-agent-token
      projected:
        sources:
          - serviceAccountToken: {path: spire-agent, audience: spire-server, expirationSeconds: 600}
    {{- end }}
    {{- if and (not $sidecar) (include "herald.hostShowsSvid" .) }}
    - name: spire-workload-socket
      csi: {driver: {{ .Values.spire.workloadSocket.csiDriver }}, readOnly: true}
    {{- end }}
    {{- if .Values.workloads }}
    - name: workloads
      configMap: {name: {{ include "herald.fullname" . }}-workloads}
    {{- end }}
    {{- include "herald.natsVolumes" (dict "root" . "credentials" .Values.lattice.credentials) | indent 4 }}
    {{- with .Values.host.registries.credentialsSecret }}
    - name: registry-credentials
      secret: {secretName: {{ . }}, defaultMode: 0440, items: [{key: .dockerconfigjson, path: config.json}]}
    {{- end }}
    {{- with .Values.host.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .Values.host.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.host.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .Values.host.affinity }}
  affinity:
    {{- toYaml .Values.host.affinity | nindent 4 }}
  {{- else if and $sidecar (not $socket.sidecar.podUidAgentIds) (eq .Values.host.kind "Deployment") }}
  # Two agents of one node would have one SPIFFE ID, and each would end the other.
  affinity:
    podAntiAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
        - topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
              {{- include "herald.hostSelector" . | nindent 14 }}
  {{- end }}
  {{- if eq .Values.host.kind "Deployment" }}
  topologySpreadConstraints:
    {{- if .Values.host.topologySpreadConstraints }}
    {{- toYaml .Values.host.topologySpreadConstraints | nindent 4 }}
    {{- else }}
    {{- range list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
    - topologyKey: {{ . }}
      maxSkew: 1
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "herald.hostSelector" $ | nindent 10 }}
    {{- end }}
    {{- end }}
  {{- end }}
{{- end }}

{{- /* Removal from the Service, the drain, and 5 s for the end itself. */ -}}
{{- define "herald.gracePeriodSeconds" -}}
{{- $drain := .Values.host.drainTimeout -}}
{{- $seconds := 0 -}}
{{- if hasSuffix "ms" $drain -}}{{- $seconds = 1 -}}
{{- else if hasSuffix "m" $drain -}}{{- $seconds = mul 60 (trimSuffix "m" $drain | int) -}}
{{- else -}}{{- $seconds = trimSuffix "s" $drain | int -}}
{{- end -}}
{{- add $seconds (int .Values.host.endpointRemovalSeconds) 5 -}}
{{- end }}
