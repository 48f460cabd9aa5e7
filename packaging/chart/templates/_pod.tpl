{{- /* The pod of a server, of which there is one or several. */}}
{{- define "lockstep.pod" -}}
metadata:
  labels:
    {{- include "lockstep.selector" . | nindent 4 }}
    {{- with .Values.podLabels }}{{ toYaml . | nindent 4 }}{{ end }}
  annotations:
    checksum/config: {{ include "lockstep.config" . | sha256sum }}
    {{- with .Values.podAnnotations }}{{ toYaml . | nindent 4 }}{{ end }}
spec:
  serviceAccountName: {{ include "lockstep.account" . }}
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: {type: RuntimeDefault}
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- range . }}
    - name: {{ . }}
    {{- end }}
  {{- end }}
  {{- with .Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if include "lockstep.several" . }}
  topologySpreadConstraints: # on nodes of their own, as far as there are any
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "lockstep.selector" . | nindent 8 }}
  {{- end }}
  containers:
  - name: lockstep
    image: {{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) | quote }}
    imagePullPolicy: {{ .Values.image.pullPolicy }}
    args: [serve, --config, /etc/lockstep/config.yaml]
    {{- with .Values.secretVariables }}
    envFrom:
      {{- range . }}
      - secretRef: {name: {{ . }}}
      {{- end }}
    {{- end }}
    ports:
    - {name: https, containerPort: 7420}
    # It answers as soon as it listens; it is ready when dead runs are settled, or have
    # been tried for two minutes. What a new process cannot mend is no reason to end it.
    startupProbe: {httpGet: {path: /healthz, port: https, scheme: HTTPS}, periodSeconds: 2, failureThreshold: 60}
    livenessProbe: {httpGet: {path: /healthz, port: https, scheme: HTTPS}, periodSeconds: 20, timeoutSeconds: 10, failureThreshold: 6}
    readinessProbe: {httpGet: {path: /readyz, port: https, scheme: HTTPS}, periodSeconds: 5, timeoutSeconds: 5}
    resources: {{- toYaml .Values.resources | nindent 6 }}
    securityContext: {readOnlyRootFilesystem: true, allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
    volumeMounts:
    - {name: config, mountPath: /etc/lockstep/config.yaml, subPath: config.yaml, readOnly: true}
    - {name: tls, mountPath: /etc/lockstep/tls, readOnly: true}
    {{- range .Values.secrets }}
    - {name: {{ printf "secret-%s" (sha256sum . | trunc 10) }}, mountPath: /etc/lockstep/secrets/{{ . }}, readOnly: true}
    {{- end }}
    - {name: state, mountPath: /var/lib/lockstep}
    - {name: tmp, mountPath: /tmp}
  volumes:
  - {name: config, configMap: {name: {{ include "lockstep.name" . }}}}
  - {name: tls, secret: {secretName: {{ include "lockstep.certificate" . }}, defaultMode: 0440}}
  {{- range .Values.secrets }}
  - {name: {{ printf "secret-%s" (sha256sum . | trunc 10) }}, secret: {secretName: {{ . }}, defaultMode: 0440}}
  {{- end }}
  {{- if not (include "lockstep.several" .) }}
  - {name: state, persistentVolumeClaim: {claimName: {{ .Values.persistence.existingClaim | default (include "lockstep.name" .) }}}}
  {{- end }}
  - {name: tmp, emptyDir: {}}
{{- end }}
