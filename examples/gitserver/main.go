// Command gitserver serves the bare git repositories below a directory over
// HTTP, for the examples and their tests. Pushes are accepted: it is for
// a loopback address only.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/sluice-gitops/sluice/examples/gitserver/githttp"
)

func main() {
	root := flag.String("root", ".", "directory that holds the bare repositories")
	listen := flag.String("listen", "127.0.0.1:0", "loopback address to listen on")
	urlFile := flag.String("url-file", "", "file to write the server's URL to once it listens")
	user := flag.String("user", "", "user:password that clients must give; empty: none")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *root, *listen, *urlFile, *user); err != nil {
		fmt.Fprintln(os.Stderr, "gitserver:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, root, listen, urlFile, user string) error {
	handler, err := githttp.Handler(root)
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	if !ln.Addr().(*net.TCPAddr).IP.IsLoopback() {
		return errors.New("listens on loopback addresses only: anybody could push")
	}
	url := "http://" + ln.Addr().String()
	fmt.Println(url)
	if urlFile != "" {
		if err := writeAtomically(urlFile, url+"\n"); err != nil {
			return err
		}
	}
	srv := &http.Server{Handler: githttp.Authenticated(user, handler), ReadHeaderTimeout: 10 * time.Second}
	context.AfterFunc(ctx, func() { _ = srv.Close() })
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// writeAtomically lets a waiting script never read half a line.
func writeAtomically(file, text string) error {
	tmp := file + ".tmp"
	if err := os.WriteFile(tmp, []byte(text), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, file)
}
