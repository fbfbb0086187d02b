package brokers

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

//go:embed pom.xml
var kafkaPOM []byte

// KafkaVersion is the Apache Kafka version that tests run, as pinned in pom.xml.
var KafkaVersion = string(regexp.MustCompile(`<kafka\.version>([^<]+)<`).FindSubmatch(kafkaPOM)[1])

// mavenTries is how often the download is tried; the repeated tries ignore Maven's memory of failures.
const mavenTries = 3

// FetchKafka returns the directory that holds Kafka's jars and fills it first where it has to, telling progress what
// it does. The directory lies in the cache, outside the repository, and is complete as soon as it exists. Any number
// of processes may call it at the same time: one fetches, the others wait.
func FetchKafka(ctx context.Context, progress io.Writer) (string, error) {
	root, err := cacheRoot()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(root, "kafka-"+KafkaVersion)
	if jarsComplete(dir) {
		return dir, nil
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", fmt.Errorf("make the cache: %w", err)
	}
	lock, err := lockFile(ctx, dir+".lock")
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if jarsComplete(dir) {
		return dir, nil
	}
	fmt.Fprintf(progress, "fetching Apache Kafka %s with Maven into %s\n", KafkaVersion, dir)
	if err := installJars(ctx, root, dir); err != nil {
		return "", fmt.Errorf("fetch Apache Kafka %s: %w", KafkaVersion, err)
	}
	return dir, nil
}

// cacheRoot is $SLUICE_CACHE, else sluice in the user's cache directory ($XDG_CACHE_HOME or ~/.cache).
func cacheRoot() (string, error) {
	if dir := os.Getenv("SLUICE_CACHE"); dir != "" {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return "", fmt.Errorf("find the cache: %w", err)
		}
		return abs, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache (set SLUICE_CACHE): %w", err)
	}
	return filepath.Join(dir, "sluice"), nil
}

// jarsComplete reports whether dir was filled from this very pom.xml. The main jars are looked at too, for a cache
// that somebody restored in part.
func jarsComplete(dir string) bool {
	pom, err := os.ReadFile(filepath.Join(dir, "pom.xml"))
	if err != nil || !bytes.Equal(pom, kafkaPOM) {
		return false
	}
	for _, jar := range []string{"kafka_2.13", "kafka-clients", "kafka-tools", "kafka-metadata"} {
		if info, err := os.Stat(filepath.Join(dir, jar+"-"+KafkaVersion+".jar")); err != nil || info.Size() == 0 {
			return false
		}
	}
	return true
}

// lockFile takes an exclusive lock that the kernel drops when the file is closed or this process dies.
func lockFile(ctx context.Context, path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	tick := newTicker()
	defer tick.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", path, context.Cause(ctx))
		}
	}
}

// installJars fills a temporary directory beside dir and renames it, so that dir is never seen half full.
func installJars(ctx context.Context, root, dir string) error {
	tmp, err := os.MkdirTemp(root, "kafka-part-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := os.WriteFile(filepath.Join(tmp, "pom.xml"), kafkaPOM, 0o644); err != nil {
		return err
	}
	if err := maven(ctx, tmp); err != nil {
		return err
	}
	if !jarsComplete(tmp) {
		return errors.New("maven ended well but left jars out")
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.Rename(tmp, dir)
}

// maven copies the dependencies of dir/pom.xml into dir.
func maven(ctx context.Context, dir string) error {
	mvn, err := lookTool("mvn")
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		args := []string{"-B", "-q", "-f", filepath.Join(dir, "pom.xml"), "dependency:copy-dependencies",
			"-DincludeScope=runtime", "-DoutputDirectory=" + dir}
		if try > 1 {
			args = append(args, "-U")
		}
		cmd := exec.CommandContext(ctx, mvn, args...)
		cmd.SysProcAttr = childAttr()
		cmd.WaitDelay = time.Second
		out, err := cmd.CombinedOutput()
		if err == nil {
			return nil
		}
		if try == mavenTries || ctx.Err() != nil {
			return fmt.Errorf("maven: %w\n%s", err, strings.TrimSpace(string(out)))
		}
	}
}
