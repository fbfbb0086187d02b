package push

import (
	"crypto/rand"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/proto/wire"
)

// maxBodiesBytes bounds the encoded bodies kept for askers, in bytes; the last one is kept whatever its size.
// A snapshot of 10,000 APIs of 3 KiB each is about 5 MiB.
const maxBodiesBytes = 128 << 20

// records are what the content is on the wire: the deployments, then the tombstones.
func (c content) records() iter.Seq[*wire.Record] {
	return func(yield func(*wire.Record) bool) {
		for _, e := range c.entries {
			if !yield(&wire.Record{Piece: &wire.Record_Changed{Changed: e.deployment}}) {
				return
			}
		}
		for _, d := range c.left {
			if !yield(d.record()) {
				return
			}
		}
	}
}

func (d departure) record() *wire.Record {
	if d.now == nil {
		return &wire.Record{Piece: &wire.Record_Removed{Removed: d.id}}
	}
	return &wire.Record{Piece: &wire.Record_Moved{Moved: &wire.Moved{
		ApiId: d.id, Revision: d.now.deployment.GetRevision(), Tags: d.now.deployment.GetTags(),
	}}}
}

// manifest names the deployments without their definitions.
func (c content) manifest() iter.Seq[*wire.Record] {
	return func(yield func(*wire.Record) bool) {
		for _, e := range c.entries {
			rec := &wire.Entry{
				ApiId: e.deployment.GetApiId(), Revision: e.deployment.GetRevision(), DefinitionDigest: e.definition[:],
			}
			if !yield(&wire.Record{Piece: &wire.Record_Entry{Entry: rec}}) {
				return
			}
		}
	}
}

// body is an encoded answer, shared by all who ask for the same. It is immutable.
type body struct {
	stream   wire.Stream
	kind     wire.AnswerKind
	at       wire.At
	digest   wire.Digest
	transfer [wire.TransferBytes]byte
	first    *wire.Chunk // the only chunk, not yet signed
	chunks   [][]byte    // signed; nil with first
	size     uint64
	records  uint32
	bytes    int
	built    time.Time
}

// encode turns records into a body. Several chunks are signed one by one, so that each can be checked as it comes.
func (p *Pusher) encode(name wire.Stream, kind wire.AnswerKind, c content, recs iter.Seq[*wire.Record]) (*body, error) {
	b := &body{stream: name, kind: kind, at: c.at, digest: c.digest, built: time.Now()}
	_, _ = rand.Read(b.transfer[:]) // never fails, says its documentation
	var (
		raw []byte
		err error
	)
	for rec := range recs {
		if raw, err = wire.AppendRecord(raw, rec); err != nil {
			return nil, err
		}
		b.records++
		for len(raw) > wire.ChunkBytes {
			if err := p.addChunk(name, b, raw[:wire.ChunkBytes]); err != nil {
				return nil, err
			}
			raw = append(raw[:0], raw[wire.ChunkBytes:]...)
		}
	}
	if b.chunks == nil {
		b.size, b.bytes = uint64(len(raw)), len(raw)
		b.first = &wire.Chunk{V: wire.Version, Size: uint32(len(raw))} //nolint:gosec // at most ChunkBytes
		if len(raw) > 0 {
			b.first.Body = p.codec.Compress(raw)
		}
		return b, nil
	}
	return b, p.addChunk(name, b, raw)
}

func (p *Pusher) addChunk(name wire.Stream, b *body, raw []byte) error {
	signed, err := p.signer.Seal(wire.KindChunk, name, &wire.Chunk{
		V: wire.Version, Transfer: b.transfer[:], Index: uint32(len(b.chunks)), //nolint:gosec // bounded by MaxBodyBytes
		Size: uint32(len(raw)), Body: p.codec.Compress(raw), //nolint:gosec // at most ChunkBytes
	})
	if err != nil {
		return fmt.Errorf("seal chunk: %w", err)
	}
	b.chunks = append(b.chunks, signed)
	b.size += uint64(len(raw))
	b.bytes += len(signed)
	return nil
}

// bodyKey names a body that several askers can share.
type bodyKey struct {
	stream wire.Stream
	kind   wire.AnswerKind
	have   wire.At // of a delta
	at     wire.At // of a delta
}

// bodies keeps encoded bodies, the least recently built out first, and lets one asker encode for all.
type bodies struct {
	mu sync.Mutex
	// guards the following
	byKey    map[bodyKey]*building
	transfer map[[wire.TransferBytes]byte]*body
	order    []*body // of transfer, oldest first
	bytes    int
}

// building is a body that is encoded now, or was.
type building struct {
	done chan struct{} // closed when body and err are set
	body *body
	err  error
}

func newBodies() *bodies {
	return &bodies{byKey: map[bodyKey]*building{}, transfer: map[[wire.TransferBytes]byte]*body{}}
}

// get returns the body under key, if fresh says that it will do, or encodes one; askers of the same wait for it.
func (s *bodies) get(key bodyKey, fresh func(*body) bool, encode func() (*body, error)) (*body, error) {
	s.mu.Lock()
	b := s.byKey[key]
	if b != nil {
		select {
		case <-b.done:
			if b.err != nil || !fresh(b.body) {
				b = nil
			}
		default: // being encoded now: as new as can be
		}
	}
	if b != nil {
		s.mu.Unlock()
		<-b.done // the encoder never waits for anything, so this ends
		return b.body, b.err
	}
	b = &building{done: make(chan struct{})}
	s.byKey[key] = b
	s.mu.Unlock()

	b.body, b.err = encode()
	s.mu.Lock()
	defer s.mu.Unlock()
	close(b.done)
	if b.err != nil || (b.body.chunks == nil && key.kind == wire.AnswerKind_ANSWER_KIND_DELTA) {
		delete(s.byKey, key) // a small delta is as fast to make as to find
	}
	if b.err == nil {
		s.keep(b.body)
	}
	return b.body, b.err
}

// add keeps a body that is one asker's alone.
func (s *bodies) add(b *body) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keep(b)
}

// keep enters b for its chunks to be asked for, and drops the oldest over the bound. The lock is held.
func (s *bodies) keep(b *body) {
	if b.chunks == nil {
		return
	}
	s.transfer[b.transfer] = b
	s.order = append(s.order, b)
	s.bytes += b.bytes
	for s.bytes > maxBodiesBytes && len(s.order) > 1 {
		old := s.order[0]
		s.order[0], s.order = nil, s.order[1:]
		s.bytes -= old.bytes
		delete(s.transfer, old.transfer)
		for k, v := range s.byKey {
			if v.body == old {
				delete(s.byKey, k)
			}
		}
	}
}

// chunk returns a signed chunk of a transfer of the stream, nil when it is no longer kept, and whether it is the last.
func (s *bodies) chunk(name wire.Stream, transfer []byte, i uint32) (data []byte, last bool) {
	if len(transfer) != wire.TransferBytes {
		return nil, false
	}
	s.mu.Lock()
	b := s.transfer[[wire.TransferBytes]byte(transfer)]
	s.mu.Unlock()
	if b == nil || b.stream != name || int(i) >= len(b.chunks) {
		return nil, false
	}
	return b.chunks[i], int(i) == len(b.chunks)-1
}
