package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"github.com/sluice-gitops/sluice/core/engine"
	"github.com/sluice-gitops/sluice/core/event"
	"github.com/sluice-gitops/sluice/core/pluginhost"
)

// ErrUnreachable says that no daemon answers at the address, or no more.
var ErrUnreachable = errors.New("cannot reach the daemon")

// Client asks a daemon. It is safe for concurrent use. Errors that the daemon
// answers match refusal.ErrNotFound, ErrInvalid or ErrConflict.
type Client struct {
	address string
	http    *http.Client
}

// NewClient returns a client for the daemon at address, "unix:///path". It
// does not connect yet.
func NewClient(address string) (*Client, error) {
	path, err := socketPath(address)
	if err != nil {
		return nil, err
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}
	return &Client{address: address, http: &http.Client{Transport: &http.Transport{DialContext: dial}}}, nil
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Status returns the state of all nodes.
func (c *Client) Status(ctx context.Context) (engine.Status, error) {
	return get[engine.Status](ctx, c, "/v1/status")
}

// Node returns one node, by id or sync name, with its last report.
func (c *Client) Node(ctx context.Context, id string) (engine.Detail, error) {
	return get[engine.Detail](ctx, c, "/v1/status/"+url.PathEscape(id))
}

// Sync has syncs run and returns their ids.
func (c *Client) Sync(ctx context.Context, req engine.SyncRequest) ([]string, error) {
	a, err := post[idsAnswer](ctx, c, "/v1/sync", syncRequest{SyncRequest: req})
	return a.Nodes, err
}

// SyncAndWait has syncs run and waits until they have come to rest. progress
// may be nil.
func (c *Client) SyncAndWait(ctx context.Context, req engine.SyncRequest, progress func(engine.Progress)) ([]engine.Detail, error) {
	body, err := c.do(ctx, http.MethodPost, "/v1/sync", syncRequest{SyncRequest: req, Wait: true})
	if err != nil {
		return nil, err
	}
	defer body.Close()
	for dec := json.NewDecoder(body); ; {
		var line syncLine
		if err := dec.Decode(&line); err != nil {
			return nil, c.broken(ctx, err)
		}
		switch {
		case line.Text != "":
			return line.Result, (*remoteError)(&line.problem)
		case line.Done:
			return line.Result, nil
		case line.Progress != nil && progress != nil:
			progress(*line.Progress)
		}
	}
}

// Suspend stops nodes and returns their ids.
func (c *Client) Suspend(ctx context.Context, req engine.SuspendRequest) ([]string, error) {
	a, err := post[idsAnswer](ctx, c, "/v1/suspend", req)
	return a.Nodes, err
}

// Resume ends suspensions and returns the ids of the nodes.
func (c *Client) Resume(ctx context.Context, req engine.ResumeRequest) ([]string, error) {
	a, err := post[idsAnswer](ctx, c, "/v1/resume", req)
	return a.Nodes, err
}

// Approve allows the deletion that a sync waits for, and returns its digest.
func (c *Client) Approve(ctx context.Context, req engine.ApproveRequest) (string, error) {
	a, err := post[approveAnswer](ctx, c, "/v1/approve", req)
	return a.Digest, err
}

// Why explains a node or an object.
func (c *Client) Why(ctx context.Context, target, namespace string) (engine.Explanation, error) {
	q := url.Values{"target": {target}}
	if namespace != "" {
		q.Set("namespace", namespace)
	}
	return get[engine.Explanation](ctx, c, "/v1/why?"+q.Encode())
}

// Events calls fn with each event, oldest first, until fn returns an error,
// ctx ends, or, unless q follows, there are no more.
func (c *Client) Events(ctx context.Context, q engine.EventQuery, fn func(event.Event) error) error {
	v := url.Values{
		"since": {strconv.FormatUint(q.Since, 10)}, "limit": {strconv.Itoa(q.Limit)},
		"node": {q.Node}, "follow": {strconv.FormatBool(q.Follow)},
	}
	body, err := c.do(ctx, http.MethodGet, "/v1/events?"+v.Encode(), nil)
	if err != nil {
		return err
	}
	defer body.Close()
	for dec := json.NewDecoder(body); ; {
		var line eventLine
		err := dec.Decode(&line)
		switch {
		case errors.Is(err, io.EOF) && !q.Follow:
			return nil
		case err != nil:
			return c.broken(ctx, err)
		case line.Text != "":
			return (*remoteError)(&line.problem)
		case line.Event == nil:
			continue
		}
		if err := fn(*line.Event); err != nil {
			return err
		}
	}
}

// Plugins returns what the plugin processes are doing.
func (c *Client) Plugins(ctx context.Context) ([]pluginhost.PluginStatus, error) {
	a, err := get[pluginsAnswer](ctx, c, "/v1/plugins")
	return a.Plugins, err
}

// Config returns what the daemon runs and what came of the last reload.
func (c *Client) Config(ctx context.Context) (engine.ConfigStatus, error) {
	return get[engine.ConfigStatus](ctx, c, "/v1/config")
}

// Reload has the daemon read its configuration again.
func (c *Client) Reload(ctx context.Context) (engine.ConfigStatus, error) {
	return post[engine.ConfigStatus](ctx, c, "/v1/reload", nil)
}

// Version returns the version of the daemon.
func (c *Client) Version(ctx context.Context) (string, error) {
	a, err := get[versionAnswer](ctx, c, "/v1/version")
	return a.Version, err
}

func get[T any](ctx context.Context, c *Client, path string) (T, error) {
	return ask[T](ctx, c, http.MethodGet, path, nil)
}

func post[T any](ctx context.Context, c *Client, path string, body any) (T, error) {
	return ask[T](ctx, c, http.MethodPost, path, body)
}

func ask[T any](ctx context.Context, c *Client, method, path string, body any) (answer T, err error) {
	r, err := c.do(ctx, method, path, body)
	if err != nil {
		return answer, err
	}
	defer r.Close()
	if err := json.NewDecoder(r).Decode(&answer); err != nil {
		return answer, c.broken(ctx, err)
	}
	return answer, nil
}

// do sends a request and returns the body of a good answer.
func (c *Client) do(ctx context.Context, method, path string, body any) (io.ReadCloser, error) {
	var sent io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		sent = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://sluice"+path, sent)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, c.unreachable(err)
	}
	if resp.StatusCode == http.StatusOK {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	p := &problem{}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxBody)).Decode(p); err != nil || p.Text == "" {
		p = &problem{Text: fmt.Sprintf("the daemon answers %s to %s %s: is it of the same version?", resp.Status, method, path), Code: "internal"}
	}
	return nil, (*remoteError)(p)
}

func (c *Client) unreachable(err error) error {
	if opErr, ok := errors.AsType[*net.OpError](err); ok {
		err = opErr.Err
	}
	return fmt.Errorf("%w at %s: is the daemon running? (%w)", ErrUnreachable, c.address, err)
}

// broken is the error of an answer that ended in the middle.
func (c *Client) broken(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return goneAway{fmt.Errorf("the daemon at %s has gone away: %w", c.address, err)}
}

// goneAway is an answer that ended in the middle: like a daemon that does not
// answer, it may be back.
type goneAway struct{ error }

func (e goneAway) Unwrap() error        { return e.error }
func (e goneAway) Is(target error) bool { return target == ErrUnreachable }
