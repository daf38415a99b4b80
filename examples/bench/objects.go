package main

import (
	"fmt"
	"os"
	"path/filepath"
)

const namespaces = 4

// app is one application: replicas 0, so that the control plane's own work on
// pods does not disturb the measurement.
const app = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: %[2]s
  namespace: %[1]s
  labels: {app: %[2]s}
spec:
  replicas: 0
  selector:
    matchLabels: {app: %[2]s}
  template:
    metadata:
      labels: {app: %[2]s}
    spec:
      serviceAccountName: %[2]s
      containers:
        - name: app
          image: registry.example.com/%[2]s:1.0.0
          ports:
            - containerPort: 8080
          envFrom:
            - configMapRef: {name: %[2]s}
---
apiVersion: v1
kind: Service
metadata:
  name: %[2]s
  namespace: %[1]s
spec:
  selector: {app: %[2]s}
  ports:
    - port: 80
      targetPort: 8080
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: %[2]s
  namespace: %[1]s
data:
  LOG_LEVEL: info
  FEATURES: "a,b,c"
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: %[2]s
  namespace: %[1]s
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: %[2]s
  namespace: %[1]s
spec:
  minReplicas: 1
  maxReplicas: 3
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: %[2]s}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target: {type: Utilization, averageUtilization: 80}
`

// generate writes the namespaces and apps below dir, a file each. kubectl
// applies files in the order of their names, hence the leading 0.
func generate(dir, prefix string, apps int) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for i := range namespaces {
		text := fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: %s-%d\n", prefix, i)
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("0-namespace-%d.yaml", i)), []byte(text), 0o644); err != nil {
			return err
		}
	}
	for i := range apps {
		name := fmt.Sprintf("app-%03d", i)
		text := fmt.Sprintf(app, fmt.Sprintf("%s-%d", prefix, i%namespaces), name)
		if err := os.WriteFile(filepath.Join(dir, name+".yaml"), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
