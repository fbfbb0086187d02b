package reactor

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/sluice-gateway/sluice/dataplane/flow"
	"github.com/sluice-gateway/sluice/proto/apidef"
)

// errUnreadable marks a deployment whose definition is not one.
var errUnreadable = errors.New("decode definition")

// outcome is what became of one deployment.
type outcome struct {
	api    *flow.API
	err    error
	result Result
}

// build builds all deployments, as many at once as there are processors: decoding and compiling is all computation.
func (l *loop) build(wanted []Deployment) []outcome {
	out := make([]outcome, len(wanted))
	var next atomic.Int64
	var builders sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(wanted)) {
		builders.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(wanted)); i = next.Add(1) - 1 {
				out[i] = l.buildOne(wanted[i])
			}
		})
	}
	builders.Wait()
	return out
}

// buildOne builds one deployment. A panic of a connector's constructor is that API's failure, not the worker's.
func (l *loop) buildOne(d Deployment) (o outcome) {
	defer func() {
		if p := recover(); p != nil {
			l.cfg.Counters.Panics.Add(1)
			l.log.Error("panic contained", "api", d.ID, "revision", d.Revision, "err", p, "stack", string(debug.Stack()))
			o = outcome{err: fmt.Errorf("build: panic: %v", p)}
		}
	}()
	def := new(apidef.API)
	if err := json.Unmarshal(d.Definition, def); err != nil {
		return outcome{err: fmt.Errorf("%w: %w", errUnreadable, err)}
	}
	api, err := flow.New(l.cfg, flow.Deployment{ID: d.ID, Organization: d.Organization, Environment: d.Environment,
		Revision: d.Revision, DeployedAt: d.DeployedAt, API: def})
	return outcome{api: api, err: err}
}
