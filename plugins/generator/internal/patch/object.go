// Package patch keeps what people change in generated manifests in a file of
// patches beside them: Flux v1's patchUpdated. A patch names its object by
// apiVersion, kind, name and namespace and is a strategic merge patch for the
// kinds of Kubernetes itself, a JSON merge patch for all others.
package patch

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/sluice-gitops/sluice/sdk/applier"
)

// Object is one object, or the patch of one.
type Object struct {
	Ref  applier.Ref
	JSON json.RawMessage
}

// header is what names an object.
type header struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name      string `json:"name"`
		Namespace string `json:"namespace"`
	} `json:"metadata"`
	Items []json.RawMessage `json:"items"`
}

// Decode reads the objects of YAML documents. Lists are taken apart. Two that
// declare the same object are an error.
func Decode(data []byte) ([]Object, error) {
	var all []Object
	seen := map[applier.Ref]bool{}
	docs, err := split(data)
	if err != nil {
		return nil, err
	}
	for i, doc := range docs {
		objects, err := decode(doc)
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", i+1, err)
		}
		for _, o := range objects {
			if id := o.Ref.Identity(); seen[id] {
				return nil, fmt.Errorf("document %d: %s is there twice", i+1, o.Ref)
			}
			seen[o.Ref.Identity()] = true
			all = append(all, o)
		}
	}
	return all, nil
}

// split returns the documents that hold something.
func split(data []byte) ([][]byte, error) {
	var docs [][]byte
	for r := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(data))); ; {
		doc, err := r.Read()
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return nil, err
		}
		docs = append(docs, doc)
	}
}

func decode(doc []byte) ([]Object, error) {
	data, err := yaml.YAMLToJSON(doc)
	if err != nil {
		return nil, err
	}
	if string(data) == "null" {
		return nil, nil // comments
	}
	return object(data)
}

func object(data json.RawMessage) ([]Object, error) {
	var h header
	if err := json.Unmarshal(data, &h); err != nil {
		return nil, fmt.Errorf("not an object: %w", err)
	}
	if h.Kind == "List" {
		var all []Object
		for i, item := range h.Items {
			objects, err := object(item)
			if err != nil {
				return nil, fmt.Errorf("item %d: %w", i+1, err)
			}
			all = append(all, objects...)
		}
		return all, nil
	}
	if h.APIVersion == "" || h.Kind == "" || h.Metadata.Name == "" {
		return nil, errors.New("an object needs apiVersion, kind and metadata.name")
	}
	group, version, found := bytes.Cut([]byte(h.APIVersion), []byte("/"))
	if !found {
		group, version = nil, group
	}
	return []Object{{
		Ref:  applier.Ref{Group: string(group), Version: string(version), Kind: h.Kind, Namespace: h.Metadata.Namespace, Name: h.Metadata.Name},
		JSON: data,
	}}, nil
}
