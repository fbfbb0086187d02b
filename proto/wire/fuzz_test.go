package wire

import (
	"testing"

	"google.golang.org/protobuf/proto"
)

// seed adds every sample, encoded, and a few that are none.
func seed(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	for _, m := range samples() {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
}

// FuzzOpen gives the decoders of signed messages the bytes as an envelope, and as the payload of one that is signed
// well: the signature must not be what keeps them from a panic.
func FuzzOpen(f *testing.F) {
	seed(f)
	signer, verifier := testSigner(f, cluster, 1), testVerifier(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		open := func(b []byte) {
			_, _ = verifier.OpenPush("eu", b)
			_, _ = verifier.OpenHeartbeat("eu", b)
			_, _ = verifier.OpenAnswer("eu", make([]byte, NonceBytes), b)
			_, _ = verifier.OpenChunk("eu", make([]byte, TransferBytes), b)
		}
		open(data)
		for _, kind := range []Kind{KindPush, KindHeartbeat, KindAnswer, KindChunk} {
			b, err := signer.seal(kind, "eu", data)
			if err != nil {
				t.Fatal(err)
			}
			open(b)
		}
	})
}

func FuzzDecodeAsk(f *testing.F) {
	seed(f)
	f.Fuzz(func(_ *testing.T, data []byte) { _, _ = DecodeAsk(data) })
}

func FuzzDecodeChunkAsk(f *testing.F) {
	seed(f)
	f.Fuzz(func(_ *testing.T, data []byte) { _, _ = DecodeChunkAsk(data) })
}

func FuzzDecodeStatus(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := DecodeStatus(StatusSubject("worker-1"), data)
		if err == nil && (len(s.GetFailing()) > MaxFailing || s.GetWorker() != "worker-1") {
			t.Fatal("accepted what is over the limits")
		}
	})
}

func FuzzRecords(f *testing.F) {
	seed(f)
	for _, m := range samples() {
		if r, ok := m.(*Record); ok {
			b, err := AppendRecord(nil, r)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		whole, halves := 0, 0
		var a, b Records
		errA := a.Read(data, func(*Record) error { whole++; return nil })
		errB := b.Read(data[:len(data)/2], func(*Record) error { halves++; return nil })
		if errB == nil {
			errB = b.Read(data[len(data)/2:], func(*Record) error { halves++; return nil })
		}
		if (errA == nil) != (errB == nil) || whole != halves {
			t.Fatalf("the split matters: %v %d, %v %d", errA, whole, errB, halves)
		}
	})
}

func FuzzDecompress(f *testing.F) {
	seed(f)
	codec, err := NewCodec()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(codec.Compress([]byte("definition")))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, size := range []uint32{1, 10, ChunkBytes, ChunkBytes + 1} {
			if b, err := codec.Decompress(data, size); err == nil && len(b) != int(size) && len(data) > 0 {
				t.Fatalf("%d bytes for %d", len(b), size)
			}
		}
	})
}
