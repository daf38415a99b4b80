package install

import (
	"path"
	"strings"
)

// config holds the files of the configuration.
func (o Options) config() manifest {
	if o.Secret {
		return declare("v1", "Secret", o.Namespace, name, object{"stringData": o.Config})
	}
	return declare("v1", "ConfigMap", o.Namespace, name, object{"data": o.Config})
}

func (o Options) volumeClaim() manifest {
	return declare("v1", "PersistentVolumeClaim", o.Namespace, name, object{"spec": object{
		"accessModes": []string{"ReadWriteOnce"},
		"resources":   object{"requests": object{"storage": o.Storage}},
	}})
}

// deployment runs one pod, and never two: the old one is gone before the new
// one comes.
func (o Options) deployment() manifest {
	volumes, mounts := o.volumes()
	container := object{
		"name":  name,
		"image": o.Image,
		"args":  []string{"run", "--config", ConfigDir, "--data-dir", DataDir},
		"env": []object{
			{"name": "HOME", "value": DataDir},
			{"name": "SLUICE_SERVER", "value": "unix://" + o.socket()}, // for kubectl exec
		},
		"volumeMounts": mounts,
		"resources":    object{"requests": object{"cpu": "50m", "memory": "128Mi"}},
		"securityContext": object{
			"allowPrivilegeEscalation": false,
			"readOnlyRootFilesystem":   true,
			"capabilities":             object{"drop": []string{"ALL"}},
		},
	}
	return declare("apps/v1", "Deployment", o.Namespace, name, object{"spec": object{
		"replicas": 1,
		"strategy": object{"type": "Recreate"},
		"selector": object{"matchLabels": labels()},
		"template": object{
			"metadata": object{"labels": labels()},
			"spec": object{
				"serviceAccountName": name,
				"securityContext": object{
					"runAsNonRoot":   true,
					"fsGroup":        65532,
					"seccompProfile": object{"type": "RuntimeDefault"},
				},
				"terminationGracePeriodSeconds": 60, // releases under way are ended in order
				"containers":                    []object{container},
				"volumes":                       volumes,
			},
		},
	}})
}

// volumes are what the pod reads and writes; nothing else of it can be written.
func (o Options) volumes() (volumes, mounts []object) {
	add := func(called, at string, what object) {
		what["name"] = called
		volumes = append(volumes, what)
		mounts = append(mounts, object{"name": called, "mountPath": at})
	}
	files := object{"configMap": object{"name": name}}
	if o.Secret {
		files = object{"secret": object{"secretName": name}}
	}
	add("config", ConfigDir, files)
	data := object{"emptyDir": object{}}
	if o.Storage != "" {
		data = object{"persistentVolumeClaim": object{"claimName": name}}
	}
	add("data", DataDir, data)
	add("tmp", "/tmp", object{"emptyDir": object{}})
	if dir := path.Dir(o.socket()); dir != DataDir && !strings.HasPrefix(dir, DataDir+"/") && dir != "/tmp" {
		add("socket", dir, object{"emptyDir": object{}})
	}
	return volumes, mounts
}
