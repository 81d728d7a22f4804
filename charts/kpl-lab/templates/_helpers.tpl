{{/* Name of everything: the release's, with the chart's where it does not say so already. */}}
{{- define "kpl-lab.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $full .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* Selects the platform's pod and the further API processes. */}}
{{- define "kpl-lab.everybody" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "kpl-lab.selector" -}}
{{ include "kpl-lab.everybody" . }}
app.kubernetes.io/component: platform
{{- end -}}

{{- define "kpl-lab.labels" -}}
{{ include "kpl-lab.selector" . }}
{{ include "kpl-lab.chartLabels" . }}
{{- end -}}

{{- define "kpl-lab.chartLabels" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 }}
{{- end -}}

{{- define "kpl-lab.image" -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}

{{/* What agents and the catalog's base run in; `platform` names the platform's own. */}}
{{- define "kpl-lab.workloadImage" -}}
{{- if eq .Values.workloads.image "platform" -}}
{{ include "kpl-lab.image" . }}
{{- else -}}
{{ default (include "kpl-lab.sibling" (list . "base")) .Values.workloads.image }}
{{- end -}}
{{- end -}}

{{/* Another image of the same registry and tag as the platform's own, where that has its usual name. */}}
{{- define "kpl-lab.sibling" -}}
{{- $at := index . 0 -}}
{{- $image := $at.Values.image -}}
{{- if hasSuffix "/platform" $image.repository -}}
{{- printf "%s/%s:%s" (trimSuffix "/platform" $image.repository) (index . 1) (default $at.Chart.AppVersion $image.tag) -}}
{{- else -}}
{{- printf "kpl-lab/%s:%s" (index . 1) $at.Chart.AppVersion -}}
{{- end -}}
{{- end -}}

{{- define "kpl-lab.workloadNamespace" -}}
{{ default .Release.Namespace .Values.workloads.namespace }}
{{- end -}}

{{- define "kpl-lab.serviceAccount" -}}
{{ default (ternary (include "kpl-lab.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name }}
{{- end -}}

{{- define "kpl-lab.claim" -}}
{{ default (printf "%s-home" (include "kpl-lab.fullname" .)) .Values.volume.existingClaim }}
{{- end -}}

{{/* The word by which workloads are known: the same for a release of the same name in a namespace. */}}
{{- define "kpl-lab.instance" -}}
{{ default (printf "%s/%s" .Release.Namespace .Release.Name | sha256sum | trunc 8) .Values.instance }}
{{- end -}}

{{/* The address that browsers use; empty: the platform's own guess. */}}
{{- define "kpl-lab.publicUrl" -}}
{{- if .Values.publicUrl -}}
{{ .Values.publicUrl }}
{{- else if .Values.ingress.enabled -}}
{{ ternary "https" "http" (ne .Values.ingress.tlsSecret "") }}://{{ .Values.ingress.host }}
{{- end -}}
{{- end -}}

{{/* Holds the token that scrapers show. */}}
{{- define "kpl-lab.metricsSecret" -}}
{{ default (printf "%s-metrics" (include "kpl-lab.fullname" .)) .Values.metrics.existingSecret }}
{{- end -}}

{{/* A token in base64 that stays when the chart is rendered again: of (context, namespace, Secret, key). */}}
{{- define "kpl-lab.keptToken" -}}
{{- $kept := lookup "v1" "Secret" (index . 1) (index . 2) -}}
{{- default (randAlphaNum 48 | b64enc) (index (default dict (default dict $kept).data) (index . 3)) -}}
{{- end -}}

{{- define "kpl-lab.nodeAgent" -}}
{{ include "kpl-lab.fullname" . }}-node
{{- end -}}

{{- define "kpl-lab.nodeNamespace" -}}
{{ default (printf "%s-node" .Release.Namespace) .Values.nodeAgent.namespace }}
{{- end -}}

{{/* Holds the token that the agents of nodes show; in both namespaces. */}}
{{- define "kpl-lab.nodeSecret" -}}
{{ default (include "kpl-lab.nodeAgent" .) .Values.nodeAgent.existingSecret }}
{{- end -}}

{{- define "kpl-lab.nodeSelectorLabels" -}}
{{ include "kpl-lab.everybody" . }}
app.kubernetes.io/component: node
{{- end -}}

{{- define "kpl-lab.nodeLabels" -}}
{{ include "kpl-lab.nodeSelectorLabels" . }}
{{ include "kpl-lab.chartLabels" . }}
{{- end -}}

{{/* Selects pods of the workloads, whatever namespace they are in. */}}
{{- define "kpl-lab.workloadPods" -}}
matchLabels:
  kpl-lab.io/installation: {{ include "kpl-lab.instance" . | quote }}
{{- end -}}

{{- define "kpl-lab.workloadPeer" -}}
namespaceSelector:
  matchLabels:
    kubernetes.io/metadata.name: {{ include "kpl-lab.workloadNamespace" . }}
podSelector:
  {{- include "kpl-lab.workloadPods" . | nindent 2 }}
{{- end -}}

{{- define "kpl-lab.platformPeer" -}}
namespaceSelector:
  matchLabels:
    kubernetes.io/metadata.name: {{ .Release.Namespace }}
podSelector:
  matchLabels:
    {{- include "kpl-lab.selector" . | nindent 4 }}
{{- end -}}

{{/* What the runner is told; `workloads.options` wins. */}}
{{- define "kpl-lab.options" -}}
{{- $own := dict
  "namespace" (include "kpl-lab.workloadNamespace" .)
  "gate_listen" "0.0.0.0"
  "gate_port" (int .Values.gate.port)
  "reach" "pods"
  "pull_secrets" .Values.image.pullSecrets
  "user_id" (int .Values.account)
  "home_volume" .Values.workloads.homes
  "home_mb" (int .Values.workloads.homeMb)
  "storage_class" .Values.workloads.storageClass
  "gpu_resource" .Values.workloads.gpuResource
  "queue" .Values.workloads.queue
  "node_selector" .Values.workloads.nodeSelector
  "tolerations" .Values.workloads.tolerations -}}
{{- if .Values.nodeAgent.enabled -}}
{{- $_ := set $own "node_token_file" "/run/secrets/kpl-lab-node/token" -}}
{{- end -}}
{{- mergeOverwrite $own (include "kpl-lab.routeOptions" . | fromJson) (deepCopy .Values.workloads.options) | toJson -}}
{{- end -}}

{{/* The way of calls to public services: at the same address as the platform, which takes all others. */}}
{{- define "kpl-lab.routeOptions" -}}
{{- $services := .Values.services -}}
{{- $own := dict "routes" $services.routes -}}
{{- if and (ne $services.routes "frontdoor") .Values.networkPolicy.enabled -}}
{{- if not $services.callers -}}
{{- fail "services.callers is needed with services.routes and networkPolicy.enabled: who calls the pods of services" -}}
{{- end -}}
{{- $_ := set $own "route_from" $services.callers -}}
{{- end -}}
{{- if eq $services.routes "gateway" -}}
{{- if not .Values.httpRoute.enabled -}}
{{- fail "services.routes=gateway needs httpRoute.enabled: it takes all other calls" -}}
{{- end -}}
{{- $parents := list -}}
{{- range .Values.httpRoute.parentRefs -}}
{{- $parents = append $parents (mergeOverwrite (dict "namespace" $.Release.Namespace) .) -}}
{{- end -}}
{{- $_ := set $own "route_parents" $parents -}}
{{- $_ := set $own "route_hosts" .Values.httpRoute.hostnames -}}
{{- else if eq $services.routes "ingress" -}}
{{- if not .Values.ingress.enabled -}}
{{- fail "services.routes=ingress needs ingress.enabled: it takes all other calls" -}}
{{- end -}}
{{- if not $services.ingress.annotations -}}
{{- fail "services.ingress.annotations is needed with services.routes=ingress: an Ingress by itself neither takes cookies off calls nor confines answers" -}}
{{- end -}}
{{- $_ := set $own "route_hosts" (list .Values.ingress.host) -}}
{{- $_ := set $own "ingress_class" .Values.ingress.className -}}
{{- $_ := set $own "ingress_annotations" $services.ingress.annotations -}}
{{- $_ := set $own "ingress_path" $services.ingress.path -}}
{{- $_ := set $own "ingress_path_type" $services.ingress.pathType -}}
{{- end -}}
{{- toJson $own -}}
{{- end -}}

{{/* Who scrapes, as peers of a NetworkPolicy. */}}
{{- define "kpl-lab.scrapers" -}}
{{- with .Values.metrics.scrapeFrom -}}
{{- toYaml . -}}
{{- else -}}
- namespaceSelector:
    matchLabels:
      kubernetes.io/metadata.name: {{ default .Release.Namespace .Values.metrics.serviceMonitor.namespace }}
{{- end -}}
{{- end -}}

{{/* What builds images: beside the platform's own image, so that nothing comes from where nobody has put it. */}}
{{- define "kpl-lab.builderImage" -}}
{{- if .Values.workloads.builderImage -}}
{{- .Values.workloads.builderImage -}}
{{- else if hasSuffix "/platform" .Values.image.repository -}}
{{- include "kpl-lab.sibling" (list . "builder") -}}
{{- else -}}
{{- fail "workloads.builderImage is needed with workloads.registry: the image of the builder, as images/builder makes it" -}}
{{- end -}}
{{- end -}}

{{- define "kpl-lab.confined" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end -}}

{{- define "kpl-lab.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ .Values.account }}
runAsGroup: {{ .Values.account }}
fsGroup: {{ .Values.account }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "kpl-lab.variables" -}}
- name: KPL_HOME
  value: /var/lib/kpl/home
- name: KPL_CONFIG
  value: /etc/kpl-lab
- name: KPL_ENGINE
  value: kubernetes
- name: KPL_INSTANCE
  value: {{ include "kpl-lab.instance" . | quote }}
- name: KPL_CONNECT_HOST
  value: {{ printf "%s-gate.%s.svc" (include "kpl-lab.fullname" .) .Release.Namespace }}
- name: KPL_IMAGE
  value: {{ include "kpl-lab.workloadImage" . }}
- name: KPL_IMAGE_PULL_POLICY
  value: {{ default .Values.image.pullPolicy .Values.workloads.pullPolicy }}
{{- with .Values.workloads.registry }}
- name: KPL_REGISTRY
  value: {{ . | quote }}
{{- end }}
{{- if .Values.workloads.registry }}
- name: KPL_BUILDER_IMAGE
  value: {{ include "kpl-lab.builderImage" . | quote }}
{{- end }}
- name: KPL_LISTEN
  value: 0.0.0.0
- name: KPL_PORT
  value: "8000"
{{- with .Values.users }}
- name: KPL_USERS
  value: {{ join "," . | quote }}
{{- end }}
{{- if or .Values.admin.password .Values.admin.existingSecret }}
- name: KPL_ADMIN_PASSWORD_FILE
  value: /run/secrets/kpl-lab/password
{{- end }}
{{- if .Values.database.existingSecret }}
- name: KPL_DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ .Values.database.existingSecret }}
      key: {{ .Values.database.secretKey }}
{{- end }}
{{- with .Values.storage }}
{{- if .url }}
- name: KPL_STORAGE_URL
  value: {{ .url | quote }}
{{- with .endpoint }}
- name: AWS_ENDPOINT_URL
  value: {{ . | quote }}
{{- end }}
{{- with .region }}
- name: AWS_DEFAULT_REGION
  value: {{ . | quote }}
{{- end }}
{{- with .existingSecret }}
{{- $secret := . }}
{{- range list "AWS_ACCESS_KEY_ID" "AWS_SECRET_ACCESS_KEY" "AWS_SESSION_TOKEN" }}
- name: {{ . }}
  valueFrom:
    secretKeyRef:
      name: {{ $secret }}
      key: {{ . }}
      optional: {{ eq . "AWS_SESSION_TOKEN" }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- range $name, $value := .Values.extraVariables }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end -}}

{{- define "kpl-lab.mounts" -}}
- name: home
  mountPath: /var/lib/kpl
- name: config
  mountPath: /etc/kpl-lab
  readOnly: true
- name: tmp
  mountPath: /tmp
{{- if or .Values.admin.password .Values.admin.existingSecret }}
- name: password
  mountPath: /run/secrets/kpl-lab
  readOnly: true
{{- end }}
{{- end -}}
