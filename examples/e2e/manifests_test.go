package e2e

import (
	"fmt"
	"strings"
)

// Manifests as users write them, small. NS becomes the test's prefix.

func namespace(suffix string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: NS%s\n", suffix)
}

func configMap(ns, name, value string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: %s\n  namespace: NS%s\ndata:\n  key: %q\n", name, ns, value)
}

func deployment(ns, name, image string) string {
	return fmt.Sprintf(`apiVersion: apps/v1
kind: Deployment
metadata:
  name: %[2]s
  namespace: NS%[1]s
spec:
  replicas: 2
  selector:
    matchLabels: {app: %[2]s}
  template:
    metadata:
      labels: {app: %[2]s}
    spec:
      containers:
        - name: %[2]s
          image: %[3]s
`, ns, name, image)
}

// documents joins manifests into one file.
func documents(docs ...string) string { return strings.Join(docs, "---\n") }
