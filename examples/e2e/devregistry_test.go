package e2e

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// registry is a running bin/devregistry: a real registry that records what it
// is asked.
type registry struct {
	t         *testing.T
	Address   string            `json:"registry"`
	CA        string            `json:"ca"`
	Control   string            `json:"control"`
	Endpoints map[string]string `json:"endpoints"`
	Env       map[string]string `json:"env"`
}

// web keeps no connections, so that none outlives its test.
var web = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}

// registry starts a registry, which ends with the test.
func (w *world) registry(args ...string) *registry {
	w.t.Helper()
	binary := filepath.Join(w.bin, "devregistry")
	if _, err := os.Stat(binary); err != nil {
		w.t.Skip("needs bin/devregistry: make devregistry")
	}
	cmd := exec.Command(binary, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = stdin.Close() // which ends it
		if err := cmd.Wait(); err != nil || stderr.Len() > 0 {
			w.t.Errorf("devregistry: %v\n%s", err, &stderr)
		}
	})
	r := &registry{t: w.t}
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil || json.Unmarshal(line, r) != nil {
		w.t.Fatalf("devregistry does not start: %v\n%s", err, &stderr)
	}
	return r
}

// block declares that the images of host are in this registry, with more
// arguments.
func (r *registry) block(host, more string) string {
	return fmt.Sprintf("registry %q {\n  endpoint = \"http://%s\"\n  insecure = true\n  %s\n}\n", host, r.Address, more)
}

// epoch is when the images of tests are built: each a day after the one before.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// push stores an image for each tag of a repository, the first one built on
// day after the epoch, the next ones a day after one another.
func (r *registry) push(repository string, day int, tags ...string) {
	r.t.Helper()
	var images []image
	for i, tag := range tags {
		images = append(images, image{tag: tag, created: epoch.AddDate(0, 0, day+i)})
	}
	r.pushImages(repository, images...)
}

// image is one of a single platform.
type image struct {
	tag     string
	created time.Time
	arch    string // amd64 if empty
}

func (r *registry) pushImages(repository string, images ...image) {
	r.t.Helper()
	type manifest struct {
		MediaType string   `json:"media_type"`
		Body      []byte   `json:"body"`
		Tags      []string `json:"tags"`
		Raw       bool     `json:"raw"`
	}
	content := struct {
		Repository string     `json:"repository"`
		Blobs      [][]byte   `json:"blobs"`
		Manifests  []manifest `json:"manifests"`
	}{Repository: repository}
	for _, im := range images {
		layer := []byte("the layer of " + repository + ":" + im.tag)
		config := asJSON(map[string]any{
			"created": im.created, "os": "linux", "architecture": cmp.Or(im.arch, "amd64"),
			"rootfs": map[string]any{"type": "layers", "diff_ids": []string{digest(layer)}},
		})
		content.Blobs = append(content.Blobs, layer, config)
		content.Manifests = append(content.Manifests, manifest{
			MediaType: "application/vnd.oci.image.manifest.v1+json", Tags: []string{im.tag},
			Body: asJSON(map[string]any{
				"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
				"config": descriptor("application/vnd.oci.image.config.v1+json", config),
				"layers": []any{descriptor("application/vnd.oci.image.layer.v1.tar", layer)},
			}),
		})
	}
	r.control(http.MethodPost, "/content", content, nil)
}

// pushBroken stores something that is no image under a tag.
func (r *registry) pushBroken(repository, tag string) {
	r.t.Helper()
	r.control(http.MethodPost, "/content", map[string]any{"repository": repository, "manifests": []any{map[string]any{
		"media_type": "application/vnd.oci.image.manifest.v1+json", "body": []byte("<html>not here</html>"), "tags": []string{tag}, "raw": true,
	}}}, nil)
}

// digest is what a tag names when it is asked.
func (r *registry) digest(repository, tag string) string {
	r.t.Helper()
	var tags []struct{ Name, Digest string }
	r.control(http.MethodGet, "/tags/"+repository, nil, &tags)
	i := slices.IndexFunc(tags, func(t struct{ Name, Digest string }) bool { return t.Name == tag })
	if i < 0 {
		r.t.Fatalf("%s has no tag %s", repository, tag)
	}
	return tags[i].Digest
}

// remove deletes tags and their images.
func (r *registry) remove(repository string, tags ...string) {
	r.t.Helper()
	for _, tag := range tags {
		r.control(http.MethodDelete, "/v2/"+repository+"/manifests/"+r.digest(repository, tag), nil, nil)
	}
}

func descriptor(mediaType string, blob []byte) map[string]any {
	return map[string]any{"mediaType": mediaType, "size": len(blob), "digest": digest(blob)}
}

func digest(blob []byte) string {
	sum := sha256.Sum256(blob)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func asJSON(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // maps of this file
	}
	return text
}

// request is one that the registry has answered.
type request struct {
	Method, Path, Class, Auth, User string
	Status                          int
}

// requests are those of the classes since reset; all without any.
func (r *registry) requests(classes ...string) []request {
	r.t.Helper()
	var all []request
	r.control(http.MethodGet, "/requests", nil, &all)
	return slices.DeleteFunc(all, func(q request) bool { return len(classes) > 0 && !slices.Contains(classes, q.Class) })
}

// issued are the passwords, tokens and keys that were handed out.
func (r *registry) issued() (list []struct{ User, Value string }) {
	r.t.Helper()
	r.control(http.MethodGet, "/issued", nil, &list)
	return list
}

func (r *registry) reset() {
	r.t.Helper()
	r.control(http.MethodDelete, "/requests", nil, nil)
}

// fault changes the answers to requests of a class; see devregistry's README.
type fault struct {
	Class  string `json:"class,omitempty"`
	Path   string `json:"path,omitempty"`
	Count  int    `json:"count,omitempty"`
	Status int    `json:"status,omitempty"`
	Delay  string `json:"delay,omitempty"`
	Body   string `json:"body,omitempty"`
}

func (r *registry) faults(f ...fault) {
	r.t.Helper()
	r.control(http.MethodPut, "/faults", append([]fault{}, f...), nil)
}

// user may read some repositories.
type user struct {
	Name         string   `json:"name"`
	Password     string   `json:"password"`
	Repositories []string `json:"repositories"`
}

func (r *registry) users(u ...user) {
	r.t.Helper()
	r.control(http.MethodPut, "/users", u, nil)
}

func (r *registry) control(method, path string, in, out any) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.Control+path, bytes.NewReader(asJSON(in)))
	if err != nil {
		r.t.Fatal(err)
	}
	resp, err := web.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode >= http.StatusBadRequest {
		r.t.Fatalf("%s %s: %s %v\n%s", method, path, resp.Status, err, body)
	}
	if out == nil {
		return
	}
	if err := json.Unmarshal(body, out); err != nil {
		r.t.Fatalf("%s %s: %v in %s", method, path, err, body)
	}
}
