package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
)

// requests counts what one client asked of the API server.
type requests struct {
	object int // about one object: get, create, patch, update, delete
	list   int // list and watch
	other  int // discovery, OpenAPI, version
}

// auditEvent is the part of an audit.k8s.io/v1 Event that is counted.
type auditEvent struct {
	Stage     string `json:"stage"`
	Verb      string `json:"verb"`
	UserAgent string `json:"userAgent"`
	ObjectRef *struct {
		Resource string `json:"resource"`
		Name     string `json:"name"`
	} `json:"objectRef"`
}

func size(file string) (int64, error) {
	info, err := os.Stat(file)
	if err != nil {
		return 0, fmt.Errorf("audit log: %w", err)
	}
	return info.Size(), nil
}

// countRequests reads the audit log from offset and counts the completed
// requests of the client whose user agent starts with agent.
func countRequests(file string, offset int64, agent string) (requests, error) {
	var n requests
	f, err := os.Open(file)
	if err != nil {
		return n, err
	}
	defer func() { _ = f.Close() }()
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return n, err
	}
	lines := bufio.NewReader(f)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
		var e auditEvent
		if json.Unmarshal(line, &e) == nil && e.Stage == "ResponseComplete" && strings.HasPrefix(e.UserAgent, agent) {
			n.count(e)
		}
	}
}

func (n *requests) count(e auditEvent) {
	switch {
	case e.ObjectRef == nil || e.ObjectRef.Resource == "":
		n.other++
	case e.Verb == "list" || e.Verb == "watch":
		n.list++
	default:
		n.object++
	}
}
