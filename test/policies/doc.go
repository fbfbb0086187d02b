// Package policies runs the tables of the policies, policies/*/testdata/*.yaml, through APIs that are deployed on a worker: real
// HTTP requests over loopback, a Kafka in process behind. One worker and one Kafka serve all tables; the APIs of a package
// are deployed in one update, and its cases run beside each other. A policy of the catalog without a case fails the run.
//
// A table is a list of cases; type Case tells the fields. In its text ${fixture.NAME.url} is the address of a server that a fixture
// starts (fixtures_test.go): one file each, fixtures_NAME_test.go.
//
// Their pages, docs/policies, are made of the same tables.
package policies

//go:generate go run ./gendocs ../../docs/policies
