package fsm

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/proto"

	"github.com/sluice-gateway/sluice/proto/command"
)

// maxRecord bounds one record of a snapshot, in bytes: an API holds its definition, its plans and what is deployed,
// each at most a command.
const maxRecord = 4 * command.MaxBytes

// Errors of Restore.
var (
	// ErrSnapshot is returned for a snapshot that is cut short or not one.
	ErrSnapshot = errors.New("snapshot is damaged")
	// ErrSnapshotFormat is returned for a snapshot that a later version wrote.
	ErrSnapshotFormat = errors.New("snapshot was written by a later version")
)

// Snapshot is the state to be written at leisure: Apply goes on meanwhile.
type Snapshot struct {
	state  *State
	recent []request
}

// Snapshot captures the state; it copies nothing.
func (f *FSM) Snapshot() *Snapshot {
	return &Snapshot{state: f.state.Load(), recent: f.recent.queue[:len(f.recent.queue):len(f.recent.queue)]}
}

// Write encodes the snapshot. Equal states give equal bytes.
func (s *Snapshot) Write(w io.Writer) error {
	rw := &recordWriter{w: bufio.NewWriterSize(w, 64<<10)}
	rw.put(&command.Record{Piece: &command.Record_Header{Header: &command.Header{
		Format: command.Format, Index: s.state.index, Revision: s.state.revision, AtMs: s.state.atMS, Rejected: s.state.rejected,
	}}})
	for g := range s.state.Groups {
		rw.put(&command.Record{Piece: &command.Record_Group{Group: encodeGroup(g)}})
	}
	for a := range s.state.APIs {
		rw.put(&command.Record{Piece: &command.Record_Api{Api: encodeAPI(a)}})
	}
	for sub := range s.state.Subscriptions {
		rw.put(&command.Record{Piece: &command.Record_Subscription{Subscription: encodeSubscription(sub)}})
	}
	for _, r := range s.recent {
		rw.put(&command.Record{Piece: &command.Record_Request{Request: &command.Request{Id: r.id, AtMs: r.atMS, Result: r.result}}})
	}
	rw.put(&command.Record{Piece: &command.Record_End{End: &command.End{
		Apis: uint64(s.state.Len()), Subscriptions: uint64(s.state.subscriptions.Len()), Requests: uint64(len(s.recent)), //nolint:gosec // a length
		Groups: uint64(s.state.groups.Len()), //nolint:gosec // a length
	}}})
	if rw.err == nil {
		rw.err = rw.w.Flush()
	}
	if rw.err != nil {
		return fmt.Errorf("write snapshot: %w", rw.err)
	}
	return nil
}

// recordWriter writes records until the first error.
type recordWriter struct {
	w   *bufio.Writer
	buf []byte
	err error
}

func (w *recordWriter) put(r *command.Record) {
	if w.err != nil {
		return
	}
	body, err := proto.MarshalOptions{Deterministic: true}.MarshalAppend(w.buf[:0], r)
	if err != nil {
		w.err = err
		return
	}
	w.buf = body
	if _, w.err = w.w.Write(binary.AppendUvarint(nil, uint64(len(body)))); w.err == nil {
		_, w.err = w.w.Write(body)
	}
}

// Restore replaces the state by a snapshot's. On an error the state stays as it was.
func (f *FSM) Restore(r io.Reader) error {
	in := &recordReader{r: bufio.NewReaderSize(r, 64<<10)}
	first, err := in.next()
	if err != nil {
		return err
	}
	h := first.GetHeader()
	switch {
	case h == nil || h.GetFormat() == 0:
		return fmt.Errorf("%w: it does not begin with a header", ErrSnapshot)
	case h.GetFormat() > command.Format:
		return ErrSnapshotFormat
	}
	b := &builder{state: empty(), recent: newRequests()}
	b.state.index, b.state.revision, b.state.atMS, b.state.rejected = h.GetIndex(), h.GetRevision(), h.GetAtMs(), h.GetRejected()
	b.state.touched.floor = h.GetRevision()
	for {
		rec, err := in.next()
		if err != nil {
			return err
		}
		done, err := b.add(rec)
		if err != nil {
			return err
		}
		if done {
			break
		}
	}
	prev := f.state.Load()
	f.recent = b.recent
	f.publish(prev, b.state)
	return nil
}

// builder collects a snapshot's records.
type builder struct {
	state  *State
	recent requests
}

// add takes one record; done is set by the end record.
func (b *builder) add(rec *command.Record) (done bool, err error) {
	switch piece := rec.GetPiece().(type) {
	case *command.Record_Api:
		a := decodeAPI(piece.Api)
		if a.ID == "" || b.state.API(a.ID) != nil {
			return false, fmt.Errorf("%w: API %q stands twice or has no id", ErrSnapshot, a.ID)
		}
		b.state.apis = b.state.apis.Set(a.ID, a)
		for _, c := range a.Claims {
			b.state.claims = b.state.claims.Set(c.key(a), a.ID)
		}
	case *command.Record_Group:
		g := decodeGroup(piece.Group)
		if g.ID == "" || b.state.Group(g.ID) != nil {
			return false, fmt.Errorf("%w: shared policy group %q stands twice or has no id", ErrSnapshot, g.ID)
		}
		b.state.groups = b.state.groups.Set(g.ID, g)
	case *command.Record_Subscription:
		return false, b.addSubscription(decodeSubscription(piece.Subscription))
	case *command.Record_Request:
		r := piece.Request
		if r.GetId() == "" || r.GetResult() == nil || len(b.recent.queue) >= rememberMax {
			return false, fmt.Errorf("%w: bad remembered request", ErrSnapshot)
		}
		b.recent.queue = append(b.recent.queue, request{id: r.GetId(), atMS: r.GetAtMs(), result: r.GetResult()})
		b.recent.byID[r.GetId()] = r.GetResult()
	case *command.Record_End:
		if piece.End.GetApis() != uint64(b.state.Len()) || piece.End.GetRequests() != uint64(len(b.recent.queue)) ||
			piece.End.GetSubscriptions() != uint64(b.state.subscriptions.Len()) || piece.End.GetGroups() != uint64(b.state.groups.Len()) {
			return false, fmt.Errorf("%w: records are missing", ErrSnapshot)
		}
		return true, nil
	default:
		return false, fmt.Errorf("%w: unknown record", ErrSnapshot)
	}
	return false, nil
}

func (b *builder) addSubscription(s *Subscription) error {
	if s.ID == "" || b.state.Subscription(s.ID) != nil || b.state.API(s.API) == nil {
		return fmt.Errorf("%w: subscription %q stands twice, or has no id or no API", ErrSnapshot, s.ID)
	}
	b.state.subscriptions = b.state.subscriptions.Set(s.ID, s)
	b.state.members = b.state.members.Set(memberKey(s.API, s.ID), s.ID)
	b.state.noteReplays(s)
	if key := s.taken(); key != "" {
		b.state.subscribers = b.state.subscribers.Set(key, s.ID)
	}
	return nil
}

// recordReader reads records, with every length checked before it is believed.
type recordReader struct {
	r *bufio.Reader
}

func (r *recordReader) next() (*command.Record, error) {
	n, err := binary.ReadUvarint(r.r)
	if err != nil {
		return nil, fmt.Errorf("%w: read length: %w", ErrSnapshot, err)
	}
	if n > maxRecord {
		return nil, fmt.Errorf("%w: a record of %d bytes", ErrSnapshot, n)
	}
	body, err := io.ReadAll(io.LimitReader(r.r, int64(n))) // grows with what is there, not with what is claimed
	if err != nil {
		return nil, fmt.Errorf("%w: read record: %w", ErrSnapshot, err)
	}
	if uint64(len(body)) != n {
		return nil, fmt.Errorf("%w: cut short", ErrSnapshot)
	}
	rec := &command.Record{}
	if err := proto.Unmarshal(body, rec); err != nil {
		return nil, fmt.Errorf("%w: decode record: %w", ErrSnapshot, err)
	}
	return rec, nil
}
