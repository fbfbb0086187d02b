package claimcheck

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// directory is a store of files. An object is written beside its place, made durable and then given its name, so that there is
// never half of one.
type directory struct {
	path    string
	expire  time.Duration // 0: never
	log     *slog.Logger
	ctx     context.Context // of the sweep, which no message waits for
	cancel  context.CancelFunc
	working sync.WaitGroup

	mu sync.Mutex
	// guards the following
	swept    time.Time
	sweeping bool
	closed   bool
}

// sweepEvery is how often files that are too old are looked for, at most: when something is stored.
const sweepEvery = time.Hour

func newDirectory(path string, expire time.Duration, log *slog.Logger) *directory {
	d := &directory{path: path, expire: expire, log: log}
	d.ctx, d.cancel = context.WithCancel(context.Background())
	return d
}

// file is the path of an object. Names are made of hexadecimal digits and slashes (reference).
func (d *directory) file(name string) string { return filepath.Join(d.path, filepath.FromSlash(name)) }

func (d *directory) put(_ context.Context, name string, content []byte) error {
	d.sweep()
	if info, err := os.Stat(d.path); err != nil {
		return err
	} else if !info.IsDir() {
		return fmt.Errorf("%s is no directory", d.path)
	}
	file := d.file(name)
	now := time.Now()
	if info, err := os.Stat(file); err == nil && info.Size() == int64(len(content)) {
		if os.Chtimes(file, now, now) == nil { // it is as old as its last message
			return nil
		}
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o750); err != nil {
		return err
	}
	return writeWhole(file, content)
}

// writeWhole writes a file so that it is there whole, and durably, or not at all.
func writeWhole(file string, content []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(file), ".part-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(file))
	if err != nil {
		return err
	}
	defer func() { _ = folder.Close() }()
	return folder.Sync()
}

func (d *directory) get(_ context.Context, name string, size int) ([]byte, error) {
	f, err := os.Open(d.file(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errMissing
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return readExactly(f, size)
}

// readExactly reads what must have size bytes.
func readExactly(r io.Reader, size int) ([]byte, error) {
	content := make([]byte, size)
	if _, err := io.ReadFull(r, content); err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil, errSize
	} else if err != nil {
		return nil, err
	}
	if n, err := io.ReadFull(r, make([]byte, 1)); n > 0 {
		return nil, errSize
	} else if err != io.EOF {
		return nil, err
	}
	return content, nil
}

// sweep removes, in the background, files that are too old, where that was long ago.
func (d *directory) sweep() {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	if d.expire == 0 || d.closed || d.sweeping || now.Sub(d.swept) < sweepEvery {
		return
	}
	d.swept, d.sweeping = now, true
	d.working.Go(func() {
		removed, err := d.remove(now.Add(-d.expire))
		if err != nil && d.ctx.Err() == nil {
			d.log.Warn("objects that are too old are not all removed", "directory", d.path, "removed", removed, "err", err)
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.sweeping = false
	})
}

// remove removes files that were last stored before a time.
func (d *directory) remove(before time.Time) (removed int, err error) {
	err = filepath.WalkDir(d.path, func(path string, e fs.DirEntry, err error) error {
		switch {
		case d.ctx.Err() != nil:
			return d.ctx.Err()
		case errors.Is(err, fs.ErrNotExist): // another worker was faster
			return nil
		case err != nil:
			return err
		case !e.Type().IsRegular() || !isObject(path):
			return nil
		}
		info, err := e.Info()
		if err == nil && info.ModTime().Before(before) {
			if err = os.Remove(path); err == nil {
				removed++
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
	return removed, err
}

// isObject tells files of ours: objects, and what is left of a worker that ended while it wrote one.
func isObject(path string) bool {
	name := filepath.Base(path)
	_, err := readReference([]byte(`{"v":1,"sha256":"` + name + `","size":0}`))
	part, _ := filepath.Match(".part-*", name)
	return err == nil || part
}

// Close implements io.Closer.
func (d *directory) Close() error {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.cancel()
	d.working.Wait()
	return nil
}
