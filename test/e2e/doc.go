// Package e2e runs the real binary against real brokers: what users were promised, and what they were promised under
// faults. Everything is behind the build tag e2e; `make test` sets it.
package e2e
