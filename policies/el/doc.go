// Package el is the expression language: texts with fragments such as {#message.headers['x'] == 'y'} are parsed once, at
// deployment, and evaluated per exchange or per message (docs/expression-language.md has the grammar, the variables and the
// limits). It is the subset of Spring's language that clients of such gateways use, closed by an allow-list: an expression
// reads what the scope gives it and can do nothing else.
//
// A Template is immutable and may be used by any number of goroutines at once; a Scope belongs to one goroutine at a time.
// The package starts no goroutine, does no I/O and keeps no state between evaluations beside compiled patterns. Typical
// conditions evaluate without allocating.
package el
