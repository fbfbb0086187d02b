package tracecontext_test

import (
	"context"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/sluice-gateway/sluice/qos/tracecontext"
)

const (
	ids     = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"
	sampled = "00-" + ids + "-01"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, in, out string }{ // out empty: malformed
		{"sampled", sampled, sampled},
		{"not sampled", "00-" + ids + "-00", "00-" + ids + "-00"},
		{"random", "00-" + ids + "-03", "00-" + ids + "-03"},
		{"unknown flags", "00-" + ids + "-ff", "00-" + ids + "-03"},
		{"later version", "01-" + ids + "-01", sampled},
		{"later version with more", "cc-" + ids + "-01-what-comes", sampled},
		{"empty", "", ""},
		{"short", sampled[:54], ""},
		{"more in version 00", sampled + "-x", ""},
		{"later version, no dash", "01-" + ids + "-01x", ""},
		{"version ff", "ff-" + ids + "-01", ""},
		{"version no digits", "zz-" + ids + "-01", ""},
		{"capitals", strings.ToUpper(sampled), ""},
		{"no digits", "00-" + strings.Replace(ids, "a", "g", 1) + "-01", ""},
		{"flags no digits", "00-" + ids + "-0x", ""},
		{"other separator", strings.ReplaceAll(sampled, "-", "_"), ""},
		{"no trace", "00-00000000000000000000000000000000-b7ad6b7169203331-01", ""},
		{"no parent", "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			span, ok := tracecontext.Parse([]byte(tc.in))
			if ok != (tc.out != "") {
				t.Fatalf("%q: %v", tc.in, ok)
			}
			if !ok {
				return
			}
			if got := string(tracecontext.Append(nil, span)); got != tc.out || !span.IsRemote() {
				t.Errorf("%q became %q, want %q", tc.in, got, tc.out)
			}
		})
	}
}

func TestWithState(t *testing.T) {
	t.Parallel()
	span, _ := tracecontext.Parse([]byte(sampled))
	for in, want := range map[string]string{"": "", "a=1,b=2": "a=1,b=2", "no state": ""} {
		got := tracecontext.WithState(span, []byte(in))
		if got.TraceState().String() != want || got.TraceID() != span.TraceID() {
			t.Errorf("%q became %q, want %q", in, got.TraceState(), want)
		}
	}
}

func TestParse_AllocatesNothing(t *testing.T) {
	in, out := []byte(sampled), make([]byte, 0, tracecontext.Size)
	if n := testing.AllocsPerRun(1000, func() {
		span, _ := tracecontext.Parse(in)
		out = tracecontext.Append(out[:0], span)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzParse compares with OpenTelemetry's propagator, which is stricter in one point: flags that it does not know.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"", sampled, "01-" + ids + "-01-more", "ff-" + ids + "-01", strings.ToUpper(sampled)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, ok := tracecontext.Parse([]byte(in))
		theirs := trace.SpanContextFromContext(propagation.TraceContext{}.Extract(context.Background(),
			propagation.MapCarrier{tracecontext.Parent: in}))
		if theirs.IsValid() && (!ok || !got.Equal(theirs)) {
			t.Errorf("%q: %v, OpenTelemetry reads %v", in, got, theirs)
		}
		if !ok && got.IsValid() {
			t.Errorf("%q: refused, and yet %v", in, got)
		}
		if again, same := tracecontext.Parse(tracecontext.Append(nil, got)); ok && (!same || !again.Equal(got)) {
			t.Errorf("%q: %v came back as %v", in, got, again)
		}
	})
}
