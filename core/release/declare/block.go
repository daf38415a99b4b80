package declare

import (
	"cmp"
	"encoding/json"
	"slices"

	"github.com/sluice-gitops/sluice/config"
	"github.com/sluice-gitops/sluice/core/digest"
	"github.com/sluice-gitops/sluice/core/release"
	"github.com/sluice-gitops/sluice/sdk/diag"
	"github.com/sluice-gitops/sluice/sdk/helm"
	"github.com/sluice-gitops/sluice/sdk/secret"
)

// Block is what a release block declares.
func Block(r config.Release) Declaration {
	d := Declaration{
		Spec: specOf(r), Key: keyOf(r), Helm: r.Helm, Applier: r.Applier, DependsOn: r.DependsOn,
		Keep: r.OnRemove == "keep", Place: r.Range.String(), Block: &r,
	}
	if r.Suspend {
		d.Suspended = &Suspended{By: "the configuration", Reason: cmp.Or(r.SuspendReason, "suspend = true")}
	}
	return d
}

// specOf is the release that a block declares.
func specOf(r config.Release) release.Spec {
	return release.Spec{
		Owner: release.OwnerOf(r.Address), Ref: helm.ReleaseRef{Namespace: r.Namespace, Name: r.ReleaseName},
		Chart: chartOf(r.Chart), From: valuesFrom(r.From), Values: secret.New(string(r.Values.JSON)), Locate: locateValue(r),
		Interval: r.Interval, Timeout: r.Timeout,
		Wait: helm.Wait(r.Wait), WaitForJobs: r.WaitForJobs, MaxHistory: r.MaxHistory, CRDs: crdsOf(r.CRDs),
		Force: r.Force, DisableHooks: r.DisableHooks, TakeOwnership: r.TakeOwnership, CreateNamespace: r.CreateNamespace,
		ReuseValues: r.ReuseValues, SkipSchema: r.SkipSchema, SkipOpenAPI: r.SkipOpenAPI,
		Adopt: r.Adopt, OnMove: onMove(r.OnMove), Remedy: remedyOf(r.OnFailure), Test: testOf(r.Test), Drift: driftOf(r.Drift),
		Uninstall: release.Uninstall{
			KeepHistory: r.Uninstall.KeepHistory, Wait: r.Uninstall.Wait, Timeout: r.Uninstall.Timeout, DisableHooks: r.Uninstall.DisableHooks,
		},
	}
}

func chartOf(c config.ReleaseChart) release.Chart {
	chart := release.Chart{
		Repository: c.Repository, Name: c.Name, Version: c.Version, Keyring: c.Keyring,
		Auth:             helm.Auth{Username: c.Username, Password: c.Password, CA: c.CA, Cert: c.Cert, Key: c.Key},
		KeepDependencies: c.KeepDependencies, IgnoreLock: c.IgnoreLock,
	}
	if c.Source != "" {
		chart.Tree = &release.TreeChart{Source: c.Source, Path: c.Path}
	}
	return chart
}

func valuesFrom(list []config.ValuesFrom) []release.ValuesFrom {
	key := func(k *config.ObjectKey) *release.ObjectKey {
		if k == nil {
			return nil
		}
		return &release.ObjectKey{Namespace: k.Namespace, Name: k.Name, Key: k.Key}
	}
	from := make([]release.ValuesFrom, len(list))
	for i, v := range list {
		from[i] = release.ValuesFrom{
			ConfigMap: key(v.ConfigMap), Secret: key(v.Secret), ChartFile: v.ChartFile, Source: v.Source, Path: v.Path,
			URL: v.URL, SHA256: v.SHA256, Optional: v.Optional, Place: v.Range.String(),
		}
	}
	return from
}

// locateValue finds values in the user's file.
func locateValue(r config.Release) func(diag.Path) *diag.Range {
	return func(p diag.Path) *diag.Range {
		at := r.Values.Locate(p)
		if at == (diag.Range{}) {
			return nil
		}
		return &at
	}
}

func crdsOf(word string) helm.CRDs {
	if word == "create" {
		return helm.CRDsCreate
	}
	return helm.CRDs(word)
}

func onMove(word string) release.OnMove {
	if word == "refuse" {
		return release.MoveRefuse
	}
	return release.OnMove(word)
}

func remedyOf(f config.OnFailure) release.Remedy {
	remedy := release.Remedy{Retries: f.Retries, Timeout: f.Timeout}
	if f.Remediate != "none" {
		remedy.Action = release.RemedyAction(f.Remediate)
	}
	return remedy
}

func testOf(t *config.ReleaseTest) *release.Test {
	if t == nil {
		return nil
	}
	return &release.Test{Timeout: t.Timeout, IgnoreFailures: t.IgnoreFailures, Cleanup: t.Cleanup, Names: t.Names}
}

func driftOf(d config.ReleaseDrift) release.Drift {
	drift := release.Drift{}
	if d.Mode != "correct" {
		drift.Mode = release.DriftMode(d.Mode)
	}
	for _, i := range d.Ignore {
		drift.Ignore = append(drift.Ignore, helm.Ignore{Kind: i.Kind, Name: i.Name, Namespace: i.Namespace, Paths: i.Paths})
	}
	return drift
}

// keyOf identifies what a block declares, wherever in the files it stands.
// It changes with secrets as well, and does not tell them.
func keyOf(r config.Release) string {
	r.Range, r.Chart.Range = diag.Range{}, diag.Range{}
	r.From = slices.Clone(r.From)
	for i := range r.From {
		r.From[i].Range = diag.Range{}
	}
	return digest.Of(r, json.RawMessage(r.Values.JSON), r.Secrets())
}
