// Command gen turns .proto files into Go without a protoc binary: bufbuild/protocompile parses them and
// google.golang.org/protobuf/cmd/protoc-gen-go, at the version go.mod pins, writes the code.
//
// It is run by go generate from the directory that holds the files:
//
//	//go:generate go run github.com/sluice-gateway/sluice/proto/internal/gen command.proto
//
// Imports are resolved from the module's root, so a file names another as "proto/command/command.proto".
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/bufbuild/protocompile"
	"github.com/bufbuild/protocompile/linker"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/pluginpb"
)

// plugin writes the Go code; go run takes it at the version in go.mod.
const plugin = "google.golang.org/protobuf/cmd/protoc-gen-go"

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, files []string) error {
	if len(files) == 0 {
		return errors.New("name the .proto files of this directory")
	}
	root, names, err := locate(files)
	if err != nil {
		return err
	}
	compiler := protocompile.Compiler{
		Resolver:       protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{root}}),
		SourceInfoMode: protocompile.SourceInfoStandard, // keeps comments, which become doc comments
	}
	compiled, err := compiler.Compile(ctx, names...)
	if err != nil {
		return fmt.Errorf("compile: %w", err)
	}
	req := &pluginpb.CodeGeneratorRequest{
		FileToGenerate: names,
		Parameter:      proto.String("paths=source_relative"),
		ProtoFile:      closure(compiled),
	}
	resp, err := generate(ctx, root, req)
	if err != nil {
		return err
	}
	for _, f := range resp.GetFile() {
		path := filepath.Join(root, filepath.FromSlash(f.GetName()))
		if err := os.WriteFile(path, []byte(f.GetContent()), 0o644); err != nil { //nolint:gosec // source code is world-readable
			return fmt.Errorf("write generated code: %w", err)
		}
	}
	return nil
}

// locate returns the module's root and the files' paths below it, in slash form.
func locate(files []string) (root string, names []string, err error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", nil, fmt.Errorf("find working directory: %w", err)
	}
	for root = dir; ; root = filepath.Dir(root) {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			break
		}
		if root == filepath.Dir(root) {
			return "", nil, fmt.Errorf("no go.mod above %s", dir)
		}
	}
	for _, f := range files {
		rel, err := filepath.Rel(root, filepath.Join(dir, f))
		if err != nil {
			return "", nil, fmt.Errorf("locate %s: %w", f, err)
		}
		names = append(names, filepath.ToSlash(rel))
	}
	return root, names, nil
}

// closure lists the files and all they import, imports first, each once.
func closure(files linker.Files) []*descriptorpb.FileDescriptorProto {
	var out []*descriptorpb.FileDescriptorProto
	seen := map[string]bool{}
	var add func(fd protoreflect.FileDescriptor)
	add = func(fd protoreflect.FileDescriptor) {
		if seen[fd.Path()] {
			return
		}
		seen[fd.Path()] = true
		imports := fd.Imports()
		for i := range imports.Len() {
			add(imports.Get(i).FileDescriptor)
		}
		out = append(out, protodesc.ToFileDescriptorProto(fd))
	}
	for _, f := range files {
		add(f)
	}
	return out
}

// generate runs the plugin on req.
func generate(ctx context.Context, root string, req *pluginpb.CodeGeneratorRequest) (*pluginpb.CodeGeneratorResponse, error) {
	in, err := proto.Marshal(req)
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	var out, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", "run", plugin)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = root, bytes.NewReader(in), &out, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("run %s: %w: %s", plugin, err, strings.TrimSpace(stderr.String()))
	}
	resp := &pluginpb.CodeGeneratorResponse{}
	if err := proto.Unmarshal(out.Bytes(), resp); err != nil {
		return nil, fmt.Errorf("decode response: %w", err)
	}
	if resp.Error != nil {
		return nil, fmt.Errorf("%s: %s", plugin, resp.GetError())
	}
	return resp, nil
}
