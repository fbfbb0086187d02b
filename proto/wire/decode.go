package wire

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// Errors of decoding.
var (
	// ErrTooLarge is returned for a message, a count or a length over its limit.
	ErrTooLarge = errors.New("over the protocol's limit")
	// ErrMalformed is returned for bytes that are no such message.
	ErrMalformed = errors.New("malformed message")
	// ErrVersion is returned for a message of a later version of the protocol.
	ErrVersion = errors.New("message of a later protocol version")
)

// OpenPush verifies and decodes a push of the stream.
func (v *Verifier) OpenPush(stream Stream, data []byte) (*Push, error) {
	m := &Push{}
	if err := v.into(KindPush, stream, data, m); err != nil {
		return nil, fmt.Errorf("open push: %w", err)
	}
	return m, errors.Join(checkVersion(m.GetV()), checkDigest(m.GetDigest()), checkSize(m.GetSize(), m.GetBody()))
}

// OpenHeartbeat verifies and decodes a heartbeat of the stream.
func (v *Verifier) OpenHeartbeat(stream Stream, data []byte) (*Heartbeat, error) {
	m := &Heartbeat{}
	if err := v.into(KindHeartbeat, stream, data, m); err != nil {
		return nil, fmt.Errorf("open heartbeat: %w", err)
	}
	return m, errors.Join(checkVersion(m.GetV()), checkDigest(m.GetDigest()),
		atMost("interval", m.GetIntervalMs(), maxIntervalMS), atMost("apis", m.GetApis(), MaxItems))
}

// OpenAnswer verifies and decodes the answer to the ask that had this nonce.
func (v *Verifier) OpenAnswer(stream Stream, nonce, data []byte) (*Answer, error) {
	m := &Answer{}
	if err := v.into(KindAnswer, stream, data, m); err != nil {
		return nil, fmt.Errorf("open answer: %w", err)
	}
	if string(m.GetNonce()) != string(nonce) {
		return nil, fmt.Errorf("open answer: %w: not the answer to this ask", ErrMalformed)
	}
	return m, checkAnswer(m)
}

// OpenChunk verifies and decodes one chunk of the transfer.
func (v *Verifier) OpenChunk(stream Stream, transfer []byte, data []byte) (*Chunk, error) {
	m := &Chunk{}
	if err := v.into(KindChunk, stream, data, m); err != nil {
		return nil, fmt.Errorf("open chunk: %w", err)
	}
	if string(m.GetTransfer()) != string(transfer) {
		return nil, fmt.Errorf("open chunk: %w: of another transfer", ErrMalformed)
	}
	return m, checkChunk(m)
}

// DecodeAsk decodes a worker's ask.
func DecodeAsk(data []byte) (*Ask, error) {
	m := &Ask{}
	if err := unmarshal(data, MaxAskBytes, m); err != nil {
		return nil, fmt.Errorf("decode ask: %w", err)
	}
	errs := []error{checkVersion(m.GetV()), CheckName(m.GetWorker()), checkLen("nonce", m.GetNonce(), NonceBytes),
		atMost("want", len(m.GetWant()), MaxWant)}
	if len(m.GetDigest()) != 0 {
		errs = append(errs, checkDigest(m.GetDigest()))
	}
	for _, id := range m.GetWant() {
		errs = append(errs, checkID(id))
	}
	return m, errors.Join(errs...)
}

// DecodeChunkAsk decodes a worker's request for a chunk.
func DecodeChunkAsk(data []byte) (*ChunkAsk, error) {
	m := &ChunkAsk{}
	if err := unmarshal(data, MaxAskBytes, m); err != nil {
		return nil, fmt.Errorf("decode chunk ask: %w", err)
	}
	return m, errors.Join(checkVersion(m.GetV()), CheckName(m.GetWorker()),
		checkLen("transfer", m.GetTransfer(), TransferBytes), atMost("index", m.GetIndex(), maxChunks))
}

// DecodeStatus decodes the status that came on the worker's subject.
func DecodeStatus(subject string, data []byte) (*Status, error) {
	m := &Status{}
	if err := unmarshal(data, MaxStatusBytes, m); err != nil {
		return nil, fmt.Errorf("decode status: %w", err)
	}
	errs := []error{checkVersion(m.GetV()), CheckName(m.GetWorker()),
		atMost("tags", len(m.GetTags()), maxWorkerTags), atMost("streams", len(m.GetStreams()), len(items)*maxWorkerTags),
		atMost("failing", len(m.GetFailing()), MaxFailing), atMost("period", m.GetPeriodMs(), maxIntervalMS),
		atMost("version", len(m.GetVersion()), maxTextBytes)}
	if StatusSubject(m.GetWorker()) != subject {
		errs = append(errs, fmt.Errorf("%w: status of %q on the subject of another worker", ErrMalformed, m.GetWorker()))
	}
	for _, s := range m.GetStreams() {
		errs = append(errs, checkDigest(s.GetDigest()), atMost("stream", len(s.GetStream()), len(subscriptions)+3*maxTagBytes),
			atMost("fault", len(s.GetFault())+len(s.GetLastRefusal()), 2*maxTextBytes))
	}
	for _, a := range m.GetFailing() {
		errs = append(errs, checkID(a.GetApiId()), atMost("error", len(a.GetError()), MaxErrorBytes))
	}
	return m, errors.Join(append(errs, checkSubscriptions(m))...)
}

// checkSubscriptions checks what a status says of subscriptions.
func checkSubscriptions(m *Status) error {
	errs := []error{atMost("subscriptions", len(m.GetSubscriptions()), MaxFailing), atMost("replays", len(m.GetReplays()), MaxFailing)}
	for _, s := range m.GetSubscriptions() {
		errs = append(errs, checkID(s.GetSubscriptionId()), atMost("cause", len(s.GetCause()), MaxErrorBytes))
	}
	for _, r := range m.GetReplays() {
		errs = append(errs, checkID(r.GetSubscriptionId()), checkID(r.GetReplayId()), atMost("error", len(r.GetError()), MaxErrorBytes))
	}
	return errors.Join(errs...)
}

// DecodeAttemptsAsk decodes a control-plane node's request for attempts.
func DecodeAttemptsAsk(data []byte) (*AttemptsAsk, error) {
	m := &AttemptsAsk{}
	if err := unmarshal(data, MaxAttemptsBytes, m); err != nil {
		return nil, fmt.Errorf("decode attempts ask: %w", err)
	}
	return m, errors.Join(checkVersion(m.GetV()), checkID(m.GetSubscriptionId()))
}

// DecodeAttemptsAnswer decodes a worker's answer to the node's request, which came on the subject.
func DecodeAttemptsAnswer(subject, node, request string, data []byte) (*AttemptsAnswer, error) {
	m := &AttemptsAnswer{}
	if err := unmarshal(data, MaxAttemptsBytes, m); err != nil {
		return nil, fmt.Errorf("decode attempts: %w", err)
	}
	errs := []error{checkVersion(m.GetV()), CheckName(m.GetWorker()), checkID(m.GetSubscriptionId()), atMost("attempts", len(m.GetAttempts()), MaxAttempts)}
	if ReplySubject(m.GetWorker(), node, request) != subject {
		errs = append(errs, fmt.Errorf("%w: answer of %q on the subject of another worker", ErrMalformed, m.GetWorker()))
	}
	for _, a := range m.GetAttempts() {
		errs = append(errs, atMost("text", len(a.GetMessage())+len(a.GetError())+len(a.GetOutcome()), 2*maxTextBytes))
	}
	return m, errors.Join(errs...)
}

// Encode encodes a message that is not signed: an ask, a chunk ask, a status.
func Encode(m proto.Message) ([]byte, error) {
	b, err := proto.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", m.ProtoReflect().Descriptor().Name(), err)
	}
	return b, nil
}

func (v *Verifier) into(kind Kind, stream Stream, data []byte, m proto.Message) error {
	payload, err := v.open(kind, stream, data)
	if err != nil {
		return err
	}
	return unmarshal(payload, MaxEnvelopeBytes, m)
}

func checkAnswer(m *Answer) error {
	errs := []error{checkVersion(m.GetV()), atMost("chunks", m.GetChunks(), maxChunks),
		atMost("size", m.GetSize(), MaxBodyBytes), atMost("records", m.GetRecords(), MaxItems),
		atMost("retry", m.GetRetryMs(), maxIntervalMS)}
	if k := m.GetKind(); k != AnswerKind_ANSWER_KIND_BEHIND && k != AnswerKind_ANSWER_KIND_BUSY {
		errs = append(errs, checkDigest(m.GetDigest()))
	}
	switch {
	case m.GetFirst() != nil:
		errs = append(errs, checkSize(m.GetFirst().GetSize(), m.GetFirst().GetBody()))
	case m.GetChunks() > 0:
		errs = append(errs, checkLen("transfer", m.GetTransfer(), TransferBytes), CheckName(m.GetNode()))
	}
	return errors.Join(errs...)
}

func checkChunk(m *Chunk) error {
	return errors.Join(checkVersion(m.GetV()), checkLen("transfer", m.GetTransfer(), TransferBytes),
		checkSize(m.GetSize(), m.GetBody()))
}

// unmarshal decodes data, after its length and the number of its fields, which bound what is allocated.
func unmarshal(data []byte, limit int, m proto.Message) error {
	if err := atMost("message", len(data), limit); err != nil {
		return err
	}
	if err := atMost("fields", countFields(data, maxFields), maxFields); err != nil {
		return err
	}
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, m); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return nil
}

// countFields counts the fields at the top of data, without allocating, up to one more than limit. Bytes that are no
// message count as they go; Unmarshal refuses them.
func countFields(data []byte, limit int) (n int) {
	for len(data) > 0 && n <= limit {
		_, _, size := protowire.ConsumeField(data)
		if size <= 0 {
			return n
		}
		data = data[size:]
		n++
	}
	return n
}

func checkVersion(v uint32) error {
	switch {
	case v == 0:
		return fmt.Errorf("%w: no version", ErrMalformed)
	case v > Version:
		return fmt.Errorf("%w: %d", ErrVersion, v)
	}
	return nil
}

func checkDigest(b []byte) error { return checkLen("digest", b, DigestSize) }

func checkLen(what string, b []byte, want int) error {
	if len(b) != want {
		return fmt.Errorf("%w: %s of %d bytes", ErrMalformed, what, len(b))
	}
	return nil
}

func checkID(id string) error {
	if id == "" || len(id) > MaxIDBytes {
		return fmt.Errorf("%w: id of %d bytes", ErrMalformed, len(id))
	}
	return nil
}

// checkSize checks the size of a body before compression that a message promises.
func checkSize(size uint32, body []byte) error {
	if (size == 0) != (len(body) == 0) {
		return fmt.Errorf("%w: body of %d bytes for %d", ErrMalformed, len(body), size)
	}
	return atMost("chunk", size, ChunkBytes)
}

func atMost[T int | uint32 | uint64](what string, n, limit T) error {
	if n > limit {
		return fmt.Errorf("%w: %s %d, at most %d", ErrTooLarge, what, n, limit)
	}
	return nil
}
