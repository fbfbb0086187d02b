package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// ErrTruncated is returned for a body that ends inside a record.
var ErrTruncated = errors.New("body ends inside a record")

// AppendRecord appends the record, behind its length, to a body.
func AppendRecord(dst []byte, r *Record) ([]byte, error) {
	dst = protowire.AppendVarint(dst, uint64(proto.Size(r))) //nolint:gosec // a size is not negative
	out, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(dst, r)
	if err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	return out, nil
}

// Records reads a body that comes in pieces of any size. The zero value is ready. It holds one record at most.
type Records struct {
	rest  []byte
	bytes uint64
	count uint32
}

// Read takes the next piece and calls fn with each record that it completes.
func (r *Records) Read(piece []byte, fn func(*Record) error) error {
	if r.bytes += uint64(len(piece)); r.bytes > MaxBodyBytes {
		return fmt.Errorf("%w: body over %d bytes", ErrTooLarge, MaxBodyBytes)
	}
	buf := piece
	if len(r.rest) > 0 {
		r.rest = append(r.rest, piece...)
		buf = r.rest
	}
	for {
		n, used := binary.Uvarint(buf)
		if used < 0 || (used == 0 && len(buf) >= binary.MaxVarintLen64) {
			return fmt.Errorf("%w: length of a record", ErrMalformed)
		}
		if used > 0 && n > maxRecordBytes {
			return fmt.Errorf("%w: record of %d bytes", ErrTooLarge, n)
		}
		if used == 0 || uint64(len(buf)-used) < n { //nolint:gosec // used is at most len(buf)
			break
		}
		if err := r.one(buf[used:used+int(n)], fn); err != nil { //nolint:gosec // n is at most maxRecordBytes
			return err
		}
		buf = buf[used+int(n):] //nolint:gosec // as above
	}
	if len(buf) != len(r.rest) || len(buf) == len(piece) { // else rest is the same unfinished record, only longer
		r.rest = append([]byte(nil), buf...)
	}
	return nil
}

// Close says whether the body ended where a record does.
func (r *Records) Close() error {
	if len(r.rest) > 0 {
		return ErrTruncated
	}
	return nil
}

func (r *Records) one(b []byte, fn func(*Record) error) error {
	if r.count++; r.count > MaxItems {
		return fmt.Errorf("%w: more than %d records", ErrTooLarge, MaxItems)
	}
	rec, err := decodeRecord(b)
	if err != nil {
		return fmt.Errorf("decode record: %w", err)
	}
	return fn(rec)
}

func decodeRecord(b []byte) (*Record, error) {
	if _, typ, n := protowire.ConsumeTag(b); n > 0 && typ == protowire.BytesType {
		if piece, m := protowire.ConsumeBytes(b[n:]); m > 0 {
			if err := atMost("fields", countFields(piece, maxPieceFields), maxPieceFields); err != nil {
				return nil, err
			}
		}
	}
	if countFields(b, 1) != 1 {
		return nil, fmt.Errorf("%w: a record is one piece", ErrMalformed)
	}
	rec := &Record{}
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(b, rec); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return rec, checkRecord(rec)
}

func checkRecord(rec *Record) error {
	switch p := rec.GetPiece().(type) {
	case *Record_Changed:
		return CheckDeployment(p.Changed)
	case *Record_Removed:
		return checkID(p.Removed)
	case *Record_Moved:
		return CheckDeployment(&Deployment{ApiId: p.Moved.GetApiId(), Tags: p.Moved.GetTags()})
	case *Record_Entry:
		return errors.Join(checkID(p.Entry.GetApiId()), checkDigest(p.Entry.GetDefinitionDigest()))
	}
	return fmt.Errorf("%w: a record of no known kind", ErrMalformed)
}

// CheckDeployment tells whether a deployment can be sent: its id, tags and definition are within the limits.
func CheckDeployment(d *Deployment) error {
	errs := []error{checkID(d.GetApiId()), atMost("tags", len(d.GetTags()), MaxTags),
		atMost("definition", len(d.GetDefinition()), MaxDefinitionBytes)}
	for _, t := range d.GetTags() {
		if _, err := StreamOf(t); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Codec compresses and decompresses chunks. It is safe for use by several goroutines, which then take turns, and
// owns none.
type Codec struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

// NewCodec returns a codec.
func NewCodec() (*Codec, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true),
		zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(ChunkBytes), zstd.WithEncoderCRC(false))
	if err != nil {
		return nil, fmt.Errorf("make encoder: %w", err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(ChunkBytes), zstd.WithDecoderMaxWindow(ChunkBytes))
	if err != nil {
		return nil, fmt.Errorf("make decoder: %w", err)
	}
	return &Codec{enc: enc, dec: dec}, nil
}

// Compress returns b, at most ChunkBytes of it, compressed.
func (c *Codec) Compress(b []byte) []byte { return c.enc.EncodeAll(b, nil) }

// Decompress returns the size bytes that body was made of.
func (c *Codec) Decompress(body []byte, size uint32) ([]byte, error) {
	if err := checkSize(size, body); err != nil {
		return nil, err
	}
	if size == 0 {
		return nil, nil
	}
	out, err := c.dec.DecodeAll(body, make([]byte, 0, size))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if len(out) != int(size) {
		return nil, fmt.Errorf("%w: body of %d bytes instead of %d", ErrMalformed, len(out), size)
	}
	return out, nil
}
