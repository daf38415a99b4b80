// Command protogen turns the plugin protocol's .proto files into Go. It needs
// nothing but Go: it compiles the files itself and runs the two generators at
// the versions that its go.mod names.
//
// Run it in its own directory, outside the workspace:
//
//	GOWORK=off go run . ../../sdk
package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/protoutil"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/pluginpb"
)

// module is stripped from each go_package, so that output paths are relative
// to the directory given on the command line.
const module = "github.com/sluice-gitops/sluice/sdk"

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: protogen DIR (the sdk module, with its proto directory)")
		os.Exit(2)
	}
	if err := run(context.Background(), os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "protogen:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir string) error {
	root := filepath.Join(dir, "proto")
	names, err := protoFiles(root)
	if err != nil {
		return err
	}
	compiler := protocompile.Compiler{
		Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{
			ImportPaths: []string{root},
		}),
		SourceInfoMode: protocompile.SourceInfoStandard, // comments
	}
	files, err := compiler.Compile(ctx, names...)
	if err != nil {
		return err
	}
	req := &pluginpb.CodeGeneratorRequest{FileToGenerate: names}
	seen := map[string]bool{}
	for _, f := range files {
		addFile(req, f, seen)
	}
	for generator, parameter := range map[string]string{
		"protoc-gen-go":      "module=" + module,
		"protoc-gen-go-grpc": "module=" + module + ",require_unimplemented_servers=true",
	} {
		req.Parameter = proto.String(parameter)
		if err := generate(ctx, generator, req, dir); err != nil {
			return fmt.Errorf("%s: %w", generator, err)
		}
	}
	return nil
}

// protoFiles lists the .proto files under root, slash-separated, in order.
func protoFiles(root string) ([]string, error) {
	var names []string
	err := fs.WalkDir(os.DirFS(root), ".", func(path string, _ fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".proto" {
			names = append(names, path)
		}
		return err
	})
	slices.Sort(names)
	if err == nil && len(names) == 0 {
		err = fmt.Errorf("no .proto file under %s", root)
	}
	return names, err
}

// addFile appends f after everything it imports, as generators expect.
func addFile(req *pluginpb.CodeGeneratorRequest, f protoreflect.FileDescriptor, seen map[string]bool) {
	if seen[f.Path()] {
		return
	}
	seen[f.Path()] = true
	for i := range f.Imports().Len() {
		addFile(req, f.Imports().Get(i).FileDescriptor, seen)
	}
	req.ProtoFile = append(req.ProtoFile, protoutil.ProtoFromFileDescriptor(f))
}

// generate runs one generator and writes what it answers.
func generate(ctx context.Context, generator string, req *pluginpb.CodeGeneratorRequest, dir string) error {
	in, err := proto.Marshal(req)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", "tool", generator)
	cmd.Stdin = bytes.NewReader(in)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return err
	}
	var resp pluginpb.CodeGeneratorResponse
	if err := proto.Unmarshal(out, &resp); err != nil {
		return err
	}
	if resp.Error != nil {
		return fmt.Errorf("%s", resp.GetError())
	}
	for _, f := range resp.File {
		path := filepath.Join(dir, f.GetName())
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(f.GetContent()), 0o644); err != nil {
			return err
		}
	}
	return nil
}
