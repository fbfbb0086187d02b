package el

import "unsafe"

// viewString returns b as a string without a copy. It is right only while b does not change: values made of it are marked
// as views, and are copied before an evaluation returns them.
func viewString(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// viewBytes returns s as bytes without a copy, for readers that do not write.
func viewBytes(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// sameMemory tells whether two texts are the same bytes in memory, so that one parsed document serves both.
func sameMemory(a, b string) bool {
	return len(a) == len(b) && unsafe.StringData(a) == unsafe.StringData(b)
}
