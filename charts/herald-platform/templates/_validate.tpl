{{- /* Combinations that the schema cannot refuse with a reason a person understands. Every message says what to do. */ -}}
{{- define "herald.validate" -}}
{{- $spire := .Values.spire -}}
{{- if not .Values.trustDomain -}}
{{- fail "trustDomain is missing: every identity begins with it. Set trustDomain to the one of your SPIRE server, for instance --set trustDomain=example.org" -}}
{{- end -}}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) -}}
{{- fail "serviceAccount.create is false and serviceAccount.name is empty: name the service account that the hosts use" -}}
{{- end -}}
{{- if eq $spire.adminSocket.mode "sidecar" -}}
{{- if not $spire.adminSocket.sidecar.cluster -}}
{{- fail "spire.adminSocket.mode is sidecar and spire.adminSocket.sidecar.cluster is empty: name the cluster under which the SPIRE server's k8s_psat attestor knows these agents; it must not be the one of the nodes' agents" -}}
{{- end -}}
{{- if ne (toJson $spire.adminSocket.hostPath) (toJson (dict "directory" "/run/spire/agent/sockets/csi.spiffe.io/admin" "fileName" "admin.sock" "socketGroup" 0)) -}}
{{- fail "spire.adminSocket.mode is sidecar, yet spire.adminSocket.hostPath was changed: the host speaks to one admin socket. Leave hostPath alone, or set the mode to hostPath" -}}
{{- end -}}
{{- else if $spire.adminSocket.sidecar.cluster -}}
{{- fail "spire.adminSocket.mode is hostPath, yet spire.adminSocket.sidecar.cluster is set: the host speaks to one admin socket. Leave the cluster empty, or set the mode to sidecar" -}}
{{- end -}}
{{- if not (or .Values.nats.enabled .Values.lattice.servers .Values.workloads) -}}
{{- fail "nats.enabled is false, lattice.servers is empty and workloads is empty: the hosts would have nothing to run. Name the NATS servers of the lattice in lattice.servers, or set nats.enabled=true, or list what runs without a lattice in workloads" -}}
{{- end -}}
{{- if and .Values.nats.enabled .Values.lattice.servers -}}
{{- fail "nats.enabled is true and lattice.servers names other servers: the hosts are on one lattice. Set nats.enabled=false to use those of lattice.servers" -}}
{{- end -}}
{{- $credentials := .Values.lattice.credentials -}}
{{- if and (not (has $credentials.kind (list "none" "svid"))) (not (and $credentials.secretName $credentials.secretKey)) -}}
{{- fail (printf "lattice.credentials.kind is %s, but secretName or secretKey is empty: credentials are only taken from a Secret" $credentials.kind) -}}
{{- end -}}
{{- if and (has $credentials.kind (list "none" "svid")) $credentials.secretName -}}
{{- fail (printf "lattice.credentials.secretName is set, but kind is %s: say whether the Secret holds creds, an nkey or a token" $credentials.kind) -}}
{{- end -}}
{{- $console := .Values.console -}}
{{- if and $console.enabled (not (include "herald.natsServers" . | trim)) -}}
{{- fail "console.enabled is true, but there is no lattice for it to show: set nats.enabled=true, or name the NATS servers in lattice.servers" -}}
{{- end -}}
{{- if and (not (has $console.credentials.kind (list "lattice" "none"))) (not (and $console.credentials.secretName $console.credentials.secretKey)) -}}
{{- fail (printf "console.credentials.kind is %s, but secretName or secretKey is empty: credentials are only taken from a Secret" $console.credentials.kind) -}}
{{- end -}}
{{- if and (has $console.credentials.kind (list "lattice" "none")) $console.credentials.secretName -}}
{{- fail (printf "console.credentials.secretName is set, but kind is %s: say whether the Secret holds creds, an nkey or a token" $console.credentials.kind) -}}
{{- end -}}
{{- if and .Values.otlp.headersSecret (not .Values.otlp.endpoint) -}}
{{- fail "otlp.headersSecret is set, but otlp.endpoint is empty: name the collector that the headers are for" -}}
{{- end -}}
{{- $callout := .Values.natsCallout -}}
{{- if $callout.enabled -}}
{{- if not $callout.keysSecret -}}
{{- fail (printf "natsCallout.keysSecret is empty: make the keys and their Secret with: herald nats-callout keys DIRECTORY; kubectl -n %s create secret generic herald-callout --from-file=DIRECTORY" .Release.Namespace) -}}
{{- end -}}
{{- if not $callout.policy.grants -}}
{{- fail "natsCallout.policy grants nobody anything: list in natsCallout.policy.grants who may connect, the hosts first" -}}
{{- end -}}
{{- if not (include "herald.natsServers" . | trim) -}}
{{- fail "natsCallout.enabled is true, but there is no NATS: set nats.enabled=true, or name the servers in lattice.servers" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.autoscaling.enabled (ne .Values.host.kind "Deployment") -}}
{{- fail "autoscaling.enabled is true, but a DaemonSet has as many hosts as there are nodes: set host.kind=Deployment" -}}
{{- end -}}
{{- if gt (int .Values.autoscaling.minReplicas) (int .Values.autoscaling.maxReplicas) -}}
{{- fail "autoscaling.minReplicas is greater than autoscaling.maxReplicas" -}}
{{- end -}}
{{- if eq (int .Values.host.http.port) (int .Values.host.health.port) -}}
{{- fail "host.http.port and host.health.port are the same" -}}
{{- end -}}
{{- range $name, $workload := .Values.workloads -}}
{{- range $interface := (dig "spec" "template" "spec" "hostInterfaces" (dig "spec" "hostInterfaces" list $workload) $workload) -}}
{{- if and (eq (get $interface "namespace") "wasmcloud") (eq (get $interface "package") "identity") -}}
{{- if not (dig "config" "audiences" "" $interface | toString | trim) -}}
{{- fail (printf "workloads.%s: its wasmcloud:identity interface lists no audiences: config.audiences is the allow-list, and without it no token can be had" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $seen := dict -}}
{{- range .Values.components -}}
{{- $id := .spiffeId | default (printf "/%s/%s" $.Values.lattice.name .name) -}}
{{- if and (hasPrefix "spiffe://" $id) (not (hasPrefix (printf "spiffe://%s/" $.Values.trustDomain) $id)) -}}
{{- fail (printf "components: %s has the SPIFFE ID %s, outside the trust domain %s" .name $id $.Values.trustDomain) -}}
{{- end -}}
{{- if hasKey $seen .name -}}
{{- fail (printf "components: %s is listed twice; two entries that match one component make its identity ambiguous" .name) -}}
{{- end -}}
{{- $_ := set $seen .name true -}}
{{- end -}}
{{- include "herald.validateSelector" . -}}
{{- include "herald.validateNatsVolume" . -}}
{{- end }}

{{- /* Kubernetes refuses an upgrade that changes a selector with a message that does not say what to do; this one does, before anything was changed. */ -}}
{{- define "herald.validateSelector" -}}
{{- $name := include "herald.hostName" . -}}
{{- $wanted := include "herald.hostSelector" . | fromYaml -}}
{{- $existing := lookup "apps/v1" .Values.host.kind .Release.Namespace $name -}}
{{- if $existing -}}
{{- $present := $existing.spec.selector.matchLabels -}}
{{- range $key, $value := $wanted -}}
{{- if ne (get $present $key) $value -}}
{{- fail (printf "the selector of the existing %s %s has %s=%s, and this upgrade wants %s: Kubernetes does not let a selector change. Set nameOverride as it was, or first run: kubectl -n %s delete %s %s --cascade=orphan" $.Values.host.kind $name $key (get $present $key) $value $.Release.Namespace (lower $.Values.host.kind) $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}

{{- /* The same for the volume claims of a StatefulSet: of NATS, whose size is one of this chart's values. */ -}}
{{- define "herald.validateNatsVolume" -}}
{{- $store := .Values.nats.config.jetstream -}}
{{- if and .Values.nats.enabled $store.enabled -}}
{{- $name := include "herald.natsName" . -}}
{{- $existing := lookup "apps/v1" "StatefulSet" .Release.Namespace $name | default dict -}}
{{- range dig "spec" "volumeClaimTemplates" list $existing -}}
{{- if and (hasSuffix "-js" .metadata.name) (ne .spec.resources.requests.storage $store.fileStore.pvc.size) -}}
{{- fail (printf "the volumes of the existing StatefulSet %s have %s, and this upgrade wants %s: Kubernetes does not let a StatefulSet change them. Set nats.config.jetstream.fileStore.pvc.size as it was, or enlarge the claims themselves and first run: kubectl -n %s delete statefulset %s --cascade=orphan" $name .spec.resources.requests.storage $store.fileStore.pvc.size $.Release.Namespace $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}
