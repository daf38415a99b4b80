package workloads

import (
	"context"
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

var serviceAccounts = schema.GroupVersionResource{Version: "v1", Resource: "serviceaccounts"}

// account is what is decoded of a ServiceAccount.
type account struct {
	Metadata         name        `json:"metadata"`
	ImagePullSecrets []reference `json:"imagePullSecrets"`
}

// name identifies an object of a namespaced kind.
type name struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
}

type reference struct {
	Name string `json:"name"`
}

const (
	fewAccounts   = 2 // up to this many are read one by one
	fewNamespaces = 3 // up to this many are listed one by one
)

// accounts adds the pull secrets of the service accounts that were found in
// use. One that does not exist has none.
func (g *gathering) accounts(ctx context.Context) error {
	used := map[name][]string{}
	var namespaces []string
	for _, f := range g.found {
		if f.ServiceAccount == "" {
			continue // of a kind without namespaces
		}
		used[name{f.ServiceAccount, f.Ref.Namespace}] = nil
		if !slices.Contains(namespaces, f.Ref.Namespace) {
			namespaces = append(namespaces, f.Ref.Namespace)
		}
	}
	read := g.listAccounts
	if len(used) <= fewAccounts {
		read = g.getAccounts
	} else if len(namespaces) > fewNamespaces && len(g.Namespaces) == 0 {
		namespaces = []string{""}
	}
	if err := read(ctx, namespaces, used); err != nil {
		return err
	}
	for i := range g.found {
		f := &g.found[i]
		for _, secret := range used[name{f.ServiceAccount, f.Ref.Namespace}] {
			f.PullSecrets = addNew(f.PullSecrets, secret)
		}
	}
	return nil
}

func (g *gathering) listAccounts(ctx context.Context, namespaces []string, used map[name][]string) error {
	for _, namespace := range namespaces {
		list, err := pages(ctx, g.Client, serviceAccounts, namespace, "", func(a *account) (account, bool) {
			_, asked := used[a.Metadata]
			return *a, asked && len(a.ImagePullSecrets) > 0
		})
		if err = g.note("serviceaccounts in "+place(namespace), err); err != nil {
			return err
		}
		for _, a := range list {
			used[a.Metadata] = names(a.ImagePullSecrets)
		}
	}
	return nil
}

func (g *gathering) getAccounts(ctx context.Context, _ []string, used map[name][]string) error {
	for who := range used {
		var a account
		err := g.Client.Object(ctx, serviceAccounts, who.Namespace, who.Name, &a)
		if err = g.note("serviceaccounts in "+place(who.Namespace), err); err != nil {
			return err
		}
		used[who] = names(a.ImagePullSecrets)
	}
	return nil
}

func names(refs []reference) []string {
	var out []string
	for _, r := range refs {
		out = addNew(out, r.Name)
	}
	return out
}

// addNew appends s, unless it is empty or there already.
func addNew(list []string, s string) []string {
	if s == "" || slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}
