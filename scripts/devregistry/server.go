package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sluice-gitops/sluice/scripts/devregistry/authority"
	"github.com/sluice-gitops/sluice/scripts/devregistry/cloud"
	"github.com/sluice-gitops/sluice/scripts/devregistry/control"
	"github.com/sluice-gitops/sluice/scripts/devregistry/dialect"
	"github.com/sluice-gitops/sluice/scripts/devregistry/front"
	"github.com/sluice-gitops/sluice/scripts/devregistry/gate"
	"github.com/sluice-gitops/sluice/scripts/devregistry/record"
	"github.com/sluice-gitops/sluice/scripts/devregistry/storage"
	"github.com/sluice-gitops/sluice/scripts/devregistry/token"
)

// recorded is how many requests are kept.
const recorded = 200_000

// server is all that runs. Its close is called once, also if start fails.
type server struct {
	options     options
	dir         string // for the certificate and the files of clouds
	registryLog io.Writer
	log         *slog.Logger

	authority *authority.Authority
	storage   *storage.Storage
	record    *record.Log
	clouds    map[string]cloud.Cloud
	servers   []*http.Server
	serving   sync.WaitGroup
}

func (s *server) start(ctx context.Context) (ready, error) {
	var err error
	if s.authority, err = authority.New(); err != nil {
		return ready{}, err
	}
	if s.storage, err = storage.Open(ctx, s.options.data, s.registryLog); err != nil {
		return ready{}, err
	}
	s.record = record.NewLog(recorded)
	out := ready{Endpoints: map[string]string{}, Env: map[string]string{}}
	listener, err := listen()
	if err != nil {
		return ready{}, err
	}
	out.Registry = listener.Addr().String()
	auth, f, err := s.makeFront(out.Registry)
	if err != nil {
		return ready{}, errors.Join(err, listener.Close())
	}
	if _, err := s.serve(listener, s.record.Handler(f.Class, f), s.options.tls); err != nil {
		return ready{}, err
	}
	if err := s.startClouds(f, &out); err != nil {
		return ready{}, err
	}
	if out.CA, err = s.writeCA(); err != nil {
		return ready{}, err
	}
	out.Control, err = s.listenAndServe(control.Handler(control.Options{
		Log: s.record, Front: f, Auth: auth, Storage: s.storage, Clouds: s.clouds, Gate: auth.Gate,
	}), false)
	return out, err
}

// makeFront makes what serves the registry at that address. It starts nothing.
func (s *server) makeFront(registry string) (*front.Auth, *front.Front, error) {
	g := &gate.Gate{}
	if err := s.makeClouds(g, registry); err != nil {
		return nil, nil, err
	}
	auth, err := s.newAuth(g, registry)
	if err != nil {
		return nil, nil, err
	}
	f, err := s.newFront(auth)
	return auth, f, err
}

func (s *server) makeClouds(g *gate.Gate, registry string) error {
	s.clouds = map[string]cloud.Cloud{}
	for _, name := range s.options.clouds {
		dir := filepath.Join(s.dir, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		c, err := clouds[name](cloud.Options{
			Gate: g, Life: s.options.cloudLife, Registry: registry, URL: s.url(registry),
			Dir: dir, Log: s.log.With("cloud", name), Tags: s.storage.Tags,
		})
		if err != nil {
			return fmt.Errorf("the fake of %s: %w", name, err)
		}
		s.clouds[name] = c
	}
	return nil
}

func (s *server) newAuth(g *gate.Gate, registry string) (*front.Auth, error) {
	issuer, err := token.NewIssuer(s.options.tokenLife)
	if err != nil {
		return nil, err
	}
	o := front.AuthOptions{Mode: s.options.auth, URL: s.url(registry), Issuer: issuer, Gate: g}
	for _, name := range s.options.clouds {
		o.Challenges = append(o.Challenges, s.clouds[name].Challenge)
	}
	auth := front.NewAuth(o)
	return auth, auth.SetUsers(s.options.users)
}

func (s *server) newFront(auth *front.Auth) (*front.Front, error) {
	registry, native, err := dialect.New(s.options.dialect, s.storage)
	if err != nil {
		return nil, err
	}
	o := front.Options{Auth: auth, Registry: registry, Native: native, Routes: map[string]http.Handler{}}
	for _, c := range s.clouds {
		maps.Copy(o.Routes, c.Routes())
	}
	return front.New(o), nil
}

// startClouds serves the endpoints of the clouds and adds them to out.
func (s *server) startClouds(f *front.Front, out *ready) error {
	isCloud := func(*http.Request) record.Class { return record.Cloud }
	for _, name := range s.options.clouds {
		urls := map[string]string{}
		for endpoint, e := range s.clouds[name].Endpoints() {
			handler := s.record.Handler(isCloud, f.Faulty(record.Cloud, e.Handler))
			url, err := s.listenAndServe(handler, e.TLS)
			if err != nil {
				return err
			}
			urls[endpoint] = url
		}
		env, err := s.clouds[name].Start(urls)
		if err != nil {
			return fmt.Errorf("the fake of %s: %w", name, err)
		}
		maps.Copy(out.Endpoints, urls)
		maps.Copy(out.Env, env)
	}
	return nil
}

// writeCA writes the authority's certificate and returns the path.
func (s *server) writeCA() (string, error) {
	path := filepath.Join(s.dir, "ca.pem")
	return path, os.WriteFile(path, s.authority.PEM(), 0o600)
}

func (s *server) url(registry string) string {
	if s.options.tls {
		return "https://" + registry
	}
	return "http://" + registry
}

func listen() (net.Listener, error) { return net.Listen("tcp", "127.0.0.1:0") }

// listenAndServe serves h on a free port and returns the URL.
func (s *server) listenAndServe(h http.Handler, secure bool) (string, error) {
	l, err := listen()
	if err != nil {
		return "", err
	}
	return s.serve(l, h, secure)
}

func (s *server) serve(l net.Listener, h http.Handler, secure bool) (string, error) {
	scheme := "http"
	h1 := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)}
	if secure {
		certificate, err := s.authority.Server()
		if err != nil {
			return "", errors.Join(err, l.Close())
		}
		scheme = "https"
		h1.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	}
	s.servers = append(s.servers, h1)
	s.serving.Go(func() {
		serve := h1.Serve
		if secure {
			serve = func(l net.Listener) error { return h1.ServeTLS(l, "", "") }
		}
		if err := serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("a server has ended", "address", l.Addr().String(), "error", err)
		}
	})
	return scheme + "://" + l.Addr().String(), nil
}

// close ends all servers at once: nobody waits for the rest of an answer.
func (s *server) close() error {
	var errs []error
	for _, h := range s.servers {
		errs = append(errs, h.Close())
	}
	s.serving.Wait()
	if s.storage != nil {
		errs = append(errs, s.storage.Close())
	}
	return errors.Join(errs...)
}
