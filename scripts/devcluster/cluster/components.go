package cluster

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

const (
	serviceIPRange      = "10.96.0.0/16"
	kubernetesServiceIP = "10.96.0.1" // the first of the range, as the API server takes it
	frontProxyName      = "front-proxy-client"
)

// Names of the components, in the order in which they are started; they are
// stopped in the reverse one.
const (
	Etcd              = "etcd"
	APIServer         = "kube-apiserver"
	ControllerManager = "kube-controller-manager"
	Scheduler         = "kube-scheduler"
	Kwok              = "kwok"
)

// Components returns the names of all components in their order of start.
func Components() []string {
	return []string{Etcd, APIServer, ControllerManager, Scheduler, Kwok}
}

// clientQPS is the request rate that the controllers may reach. The default of
// 20 a second is meant for clusters that many share, and makes a test wait.
const clientQPS = "500"

// layout says where the files of a cluster are.
type layout struct{ dir string }

func (l layout) file(name string) string  { return filepath.Join(l.dir, name) }
func (l layout) pki(name string) string   { return filepath.Join(l.dir, "pki", name) }
func (l layout) audit() string            { return filepath.Join(l.dir, "audit", "audit.jsonl") }
func (l layout) log(comp string) string   { return filepath.Join(l.dir, "logs", comp+".log") }
func (l layout) kubeconfig(u user) string { return filepath.Join(l.dir, u.config) }

// userOf returns the user that a component is.
func userOf(name string) user {
	i := slices.IndexFunc(users, func(u user) bool { return strings.TrimPrefix(u.name, "system:") == name })
	return users[i]
}

// arguments returns the command line of a component. stages is the file of
// kwok's stages. No credential is in it, only files that hold one.
func arguments(component string, l layout, p ports, stages string) []string {
	switch component {
	case Etcd:
		return etcdArguments(l, p)
	case APIServer:
		return apiServerArguments(l, p)
	case ControllerManager:
		return controllerManagerArguments(l)
	case Scheduler:
		return []string{
			"--kubeconfig=" + l.kubeconfig(userOf(Scheduler)),
			"--leader-elect=false",
			"--secure-port=0",
			"--kube-api-qps=" + clientQPS, "--kube-api-burst=" + clientQPS,
		}
	case Kwok:
		return []string{
			"--kubeconfig=" + l.kubeconfig(userOf(Kwok)),
			"--config=" + stages,
			"--manage-all-nodes=true",
			"--server-address=",
		}
	}
	panic("no component " + component) // Callers pass what Components returned.
}

func etcdArguments(l layout, p ports) []string {
	client, peer := localURL("http", p.EtcdClient), localURL("http", p.EtcdPeer)
	return []string{
		"--name=devcluster",
		"--data-dir=" + l.file("etcd"),
		"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=devcluster=" + peer,
		// Survives the kill of every process, not the crash of the machine.
		"--unsafe-no-fsync=true",
		// The only member waits for up to twice this, in milliseconds, before it
		// elects itself: at each start.
		"--election-timeout=500",
		"--quota-backend-bytes=8589934592",
		"--log-level=warn",
	}
}

func apiServerArguments(l layout, p ports) []string {
	return []string{
		"--etcd-servers=" + localURL("http", p.EtcdClient),
		"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", p.APIServer),
		// The address is not one that an Endpoints object may hold.
		"--endpoint-reconciler-type=none",
		"--tls-cert-file=" + l.pki("apiserver.crt"), "--tls-private-key-file=" + l.pki("apiserver.key"),
		"--client-ca-file=" + l.pki("ca.crt"),
		"--token-auth-file=" + l.file(tokenFile),
		"--authorization-mode=RBAC",
		"--allow-privileged=true",
		"--service-cluster-ip-range=" + serviceIPRange,
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + l.pki("service-account.pub"),
		"--service-account-signing-key-file=" + l.pki("service-account.key"),
		"--requestheader-client-ca-file=" + l.pki("front-proxy-ca.crt"),
		"--requestheader-allowed-names=" + frontProxyName,
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + l.pki("front-proxy-client.crt"),
		"--proxy-client-key-file=" + l.pki("front-proxy-client.key"),
		// Else it waits, when told to end, until each client has ended its watches.
		"--shutdown-watch-termination-grace-period=1s",
		"--audit-policy-file=" + l.file("audit-policy.yaml"),
		"--audit-log-path=" + l.audit(),
		// Megabytes: rotation must not cut a test's reading of the log in two.
		"--audit-log-maxsize=2048", "--audit-log-maxbackup=1",
	}
}

func controllerManagerArguments(l layout) []string {
	return []string{
		"--kubeconfig=" + l.kubeconfig(userOf(ControllerManager)),
		"--leader-elect=false",
		"--secure-port=0",
		"--use-service-account-credentials=true",
		"--service-account-private-key-file=" + l.pki("service-account.key"),
		"--root-ca-file=" + l.pki("ca.crt"),
		"--cluster-signing-cert-file=" + l.pki("ca.crt"), "--cluster-signing-key-file=" + l.pki("ca.key"),
		// What these do needs a cloud or a network.
		"--controllers=*,-node-ipam-controller,-node-route-controller,-service-lb-controller",
		// A fake node never fails: its heartbeats come every ten minutes, and
		// later on a busy machine.
		"--node-monitor-grace-period=8760h",
		"--kube-api-qps=" + clientQPS, "--kube-api-burst=" + clientQPS,
		// The default is a directory of the system, which it would create.
		"--flex-volume-plugin-dir=" + l.file("flexvolume"),
		// There are no metrics to scale by: look for them rarely.
		"--horizontal-pod-autoscaler-sync-period=1m",
	}
}

func localURL(scheme string, port int) string {
	return fmt.Sprintf("%s://127.0.0.1:%d", scheme, port)
}
