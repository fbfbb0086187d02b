module github.com/sluice-gateway/sluice

go 1.26.0

require (
	github.com/HdrHistogram/hdrhistogram-go v1.4.0 // latencies of the benchmarks without averaging the tail away
	github.com/alicebob/miniredis/v2 v2.40.0 // the Redis of unit tests, in process
	github.com/antchfx/xmlquery v1.5.2 // XML documents for #xpath and xmlContent
	github.com/antchfx/xpath v1.3.9 // #xpath of the expression language
	github.com/benbjohnson/immutable v0.4.0 // persistent maps: the state machine's snapshots share structure
	github.com/bufbuild/protocompile v0.14.1 // parses .proto files: schemas of protobuf-json, and generating without protoc
	github.com/danielgtaylor/huma/v2 v2.37.2 // OpenAPI 3.1 from the handlers' types
	github.com/dlclark/regexp2/v2 v2.5.2 // the regular expressions of scripts that backtrack: bounded in time
	github.com/dop251/goja v0.0.0-20260917113740-793a2a65c13b // JavaScript, for scripted policies
	github.com/eclipse/paho.golang v0.23.0 // the packets of MQTT 5; in tests another client than ours
	github.com/eclipse/paho.mqtt.golang v1.5.1 // the packets of MQTT 3.1.1
	github.com/fasthttp/websocket v1.5.12 // the other side of WebSocket tests: another implementation than ours
	github.com/google/go-cmp v0.7.0 // differences in tests
	github.com/google/uuid v1.6.0 // request, API and plan ids
	github.com/hamba/avro/v2 v2.31.0 // Avro schemas and their binary form
	github.com/hashicorp/go-hclog v1.6.3 // raft's logger interface
	github.com/hashicorp/raft v1.8.0 // replicates definitions
	github.com/hashicorp/raft-wal v0.4.0 // raft's log and stable store, fsynced; raft-boltdb does not build beside raft v1.8
	github.com/jcmturner/gokrb5/v8 v8.4.4 // Kerberos key tabs and tickets for SASL GSSAPI
	github.com/johannesboyne/gofakes3 v1.2.0 // the S3 of tests, in process
	github.com/klauspost/compress v1.20.3 // zstd for snapshots to workers, DEFLATE for WebSocket
	github.com/lestrrat-go/jwx/v3 v3.3.0 // signs the assertions of RFC 7523 for webhook receivers' token endpoints
	github.com/minio/minio-go/v7 v7.4.1 // S3, for claim-check
	github.com/mochi-mqtt/server/v2 v2.7.9 // the MQTT broker of sluice dev
	github.com/nats-io/jwt/v2 v2.8.2 // makes the credentials of external NATS clusters in tests
	github.com/nats-io/nats-server/v2 v2.15.2 // NATS embedded in the control plane
	github.com/nats-io/nats.go v1.55.0 // transport of definitions and status
	github.com/nats-io/nkeys v0.4.17 // who is who on NATS
	github.com/ohler55/ojg v1.28.5 // #jsonPath of the expression language: filters, over documents that keep their order
	github.com/pavlo-v-chernykh/keystore-go/v4 v4.5.0 // JKS key and trust stores, which the standard library does not read
	github.com/prometheus/client_golang v1.24.1 // the metrics page
	github.com/redis/go-redis/v9 v9.23.0 // the resource cache-redis, and rate limits that are counted exactly across workers
	github.com/santhosh-tekuri/jsonschema/v6 v6.0.3 // json-validation; in tests it holds the definition's schema against its cases
	github.com/spf13/cobra v1.10.2 // the command line, with completion
	github.com/spf13/pflag v1.0.10 // cobra's flags
	github.com/standard-webhooks/standard-webhooks/libraries v0.0.1 // the other side of webhook signatures, in tests: the standard's own library
	github.com/tetratelabs/wazero v1.12.0 // WebAssembly without C, for the policy wasm
	github.com/twmb/franz-go v1.22.2 // the Kafka client
	github.com/twmb/franz-go/pkg/kadm v1.19.0 // Kafka group offsets and topics
	github.com/twmb/franz-go/pkg/kfake v0.0.0-20260918054303-01f206a7e32c // the Kafka of sluice dev, and faults in tests
	github.com/twmb/franz-go/pkg/kmsg v1.15.0 // Kafka requests that kadm answers from its cache
	github.com/twmb/franz-go/pkg/sasl/kerberos v1.1.0 // SASL GSSAPI of the Kafka client
	github.com/twmb/franz-go/pkg/sr v1.8.0 // schema registries that speak Confluent's API
	github.com/valyala/fasthttp v1.74.0 // the gateway port; later versions need a module that cannot be had everywhere
	go.opentelemetry.io/otel v1.47.0 // traces and metrics
	go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc v1.47.0 // traces out
	go.opentelemetry.io/otel/exporters/prometheus v0.69.0 // metrics out
	go.opentelemetry.io/otel/metric v1.47.0 // instruments
	go.opentelemetry.io/otel/sdk v1.47.0 // traces
	go.opentelemetry.io/otel/sdk/metric v1.47.0 // metrics
	go.opentelemetry.io/otel/trace v1.47.0 // span contexts through the data path
	go.opentelemetry.io/proto/otlp v1.11.0 // the collector of the trace tests speaks it
	go.uber.org/goleak v1.3.0 // no goroutine is left behind, in tests
	golang.org/x/net v0.60.0 // SOCKS5 for webhooks, and what HTTP headers may hold
	golang.org/x/sync v0.24.0 // the bound in bytes of what the mqtt5 endpoint has taken for publishing
	golang.org/x/sys v0.49.0 // what the kernel knows of a connection: how much its peer has acknowledged
	golang.org/x/text v0.43.0 // texts of what does not fit a JSON Schema
	google.golang.org/grpc v1.83.2 // the collector of the trace tests is served by it
	google.golang.org/protobuf v1.36.12 // raft commands and NATS envelopes; messages of protobuf-json
	gopkg.in/yaml.v3 v3.0.1 // definitions in YAML, with positions
	pgregory.net/rapid v1.3.0 // property tests
	software.sslmate.com/src/go-pkcs12 v0.7.4 // PKCS12 key and trust stores, with Java's trust marks
)

require (
	github.com/antithesishq/antithesis-sdk-go v0.8.0-default-no-op // indirect
	github.com/armon/go-metrics v0.4.1 // indirect
	github.com/beorn7/perks v1.0.1 // indirect
	github.com/cenkalti/backoff/v5 v5.0.3 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/coreos/etcd v3.3.27+incompatible // indirect
	github.com/coreos/go-systemd v0.0.0-20191104093116-d3cd4ed1dbcf // indirect
	github.com/coreos/pkg v0.0.0-20220810130054-c7d1c02cb6cf // indirect
	github.com/decred/dcrd/dcrec/secp256k1/v4 v4.4.1 // indirect
	github.com/dustin/go-humanize v1.0.1 // indirect
	github.com/fatih/color v1.19.0 // indirect
	github.com/go-logr/logr v1.4.4 // indirect
	github.com/go-logr/stdr v1.2.2 // indirect
	github.com/go-sourcemap/sourcemap v2.1.3+incompatible // indirect
	github.com/go-viper/mapstructure/v2 v2.5.0 // indirect
	github.com/goccy/go-json v0.10.6 // indirect
	github.com/golang/groupcache v0.0.0-20210331224755-41bb18bfe9da // indirect
	github.com/google/go-tpm v0.9.8 // indirect
	github.com/google/pprof v0.0.0-20230207041349-798e818bf904 // indirect
	github.com/gorilla/websocket v1.5.3 // indirect
	github.com/grpc-ecosystem/grpc-gateway/v2 v2.30.0 // indirect
	github.com/hashicorp/go-immutable-radix v1.3.1 // indirect
	github.com/hashicorp/go-metrics v0.7.0 // indirect
	github.com/hashicorp/go-msgpack/v2 v2.1.5 // indirect
	github.com/hashicorp/go-uuid v1.0.3 // indirect
	github.com/hashicorp/golang-lru v1.0.2 // indirect
	github.com/inconshreveable/mousetrap v1.1.0 // indirect
	github.com/jcmturner/aescts/v2 v2.0.0 // indirect
	github.com/jcmturner/dnsutils/v2 v2.0.0 // indirect
	github.com/jcmturner/gofork v1.7.6 // indirect
	github.com/jcmturner/rpc/v2 v2.0.3 // indirect
	github.com/json-iterator/go v1.1.12 // indirect
	github.com/klauspost/cpuid/v2 v2.4.0 // indirect
	github.com/klauspost/crc32 v1.3.0 // indirect
	github.com/lestrrat-go/blackmagic v1.0.4 // indirect
	github.com/lestrrat-go/dsig v1.4.0 // indirect
	github.com/lestrrat-go/dsig-secp256k1 v1.0.0 // indirect
	github.com/lestrrat-go/httpcc v1.0.1 // indirect
	github.com/lestrrat-go/httprc/v3 v3.0.6 // indirect
	github.com/lestrrat-go/option/v2 v2.0.0 // indirect
	github.com/mattn/go-colorable v0.1.15 // indirect
	github.com/mattn/go-isatty v0.0.22 // indirect
	github.com/minio/crc64nvme v1.1.1 // indirect
	github.com/minio/highwayhash v1.0.4 // indirect
	github.com/minio/md5-simd v1.1.2 // indirect
	github.com/modern-go/concurrent v0.0.0-20180306012644-bacd9c7ef1dd // indirect
	github.com/modern-go/reflect2 v1.0.2 // indirect
	github.com/molecule-man/go-brrr v1.0.1 // indirect
	github.com/munnerz/goautoneg v0.0.0-20191010083416-a7dc8b61c822 // indirect
	github.com/nats-io/nuid v1.0.1 // indirect
	github.com/philhofer/fwd v1.2.0 // indirect
	github.com/pierrec/lz4/v4 v4.1.33 // indirect
	github.com/prometheus/client_model v0.6.3 // indirect
	github.com/prometheus/common v0.72.0 // indirect
	github.com/prometheus/otlptranslator v1.0.0 // indirect
	github.com/prometheus/procfs v0.22.0 // indirect
	github.com/rs/xid v1.6.0 // indirect
	github.com/ryszard/goskiplist v0.0.0-20150312221310-2dfbae5fcf46 // indirect
	github.com/savsgio/gotils v0.0.0-20240704082632-aef3928b8a38 // indirect
	github.com/segmentio/asm v1.2.1 // indirect
	github.com/tinylib/msgp v1.6.4 // indirect
	github.com/valyala/bytebufferpool v1.0.0 // indirect
	github.com/valyala/fastjson v1.6.10 // indirect
	github.com/yuin/gopher-lua v1.1.1 // indirect
	github.com/zeebo/xxh3 v1.1.0 // indirect
	go.etcd.io/bbolt v1.3.6 // indirect
	go.opentelemetry.io/auto/sdk v1.2.1 // indirect
	go.opentelemetry.io/otel/exporters/otlp/otlptrace v1.47.0 // indirect
	go.opentelemetry.io/otel/log v1.47.0 // indirect
	go.shabbyrobe.org/gocovmerge v0.0.0-20230507111327-fa4f82cfbf4d // indirect
	go.uber.org/atomic v1.12.0 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/crypto v0.58.0 // indirect
	golang.org/x/exp v0.0.0-20230626212559-97b1e661b5df // indirect
	golang.org/x/time v0.16.0 // indirect
	golang.org/x/tools v0.51.0 // indirect
	google.golang.org/genproto/googleapis/api v0.0.0-20260928230214-8a89bd6388cc // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260928230214-8a89bd6388cc // indirect
	gopkg.in/ini.v1 v1.67.3 // indirect
)
