package wire

// Version is the version of the envelopes that this code writes; it reads every version up to it.
const Version = 1

// Limits. A decoder refuses what is over them before it allocates.
const (
	// ChunkBytes is how much of a body goes into one message before compression, in bytes. With what surrounds it
	// it stays well under 1 MiB, the largest payload that a NATS server takes by default (server/const.go MAX_PAYLOAD_SIZE).
	ChunkBytes = 256 << 10
	// MaxEnvelopeBytes bounds a signed message, in bytes: an incompressible chunk and what surrounds it.
	MaxEnvelopeBytes = 512 << 10
	// MaxAskBytes bounds an ask, in bytes: MaxWant ids of the longest kind.
	MaxAskBytes = 768 << 10
	// MaxStatusBytes bounds a worker's status, in bytes: MaxFailing APIs and as many subscriptions with ids of the longest
	// kind, and MaxFailingTexts texts of each.
	MaxStatusBytes = 960 << 10
	// MaxDefinitionBytes bounds one definition, in bytes. The management API takes bodies up to 4 MiB, and a
	// definition may grow when it is written again in normal form.
	MaxDefinitionBytes = 8 << 20
	// MaxBodyBytes bounds a body before compression, in bytes: MaxItems of 1 KiB each.
	MaxBodyBytes = 1 << 30
	// MaxItems bounds the deployments of a stream. The largest setting that is measured has 10,000 APIs and 100,000
	// subscriptions.
	MaxItems = 1_000_000
	// MaxIDBytes bounds the id of an API or a subscription, in bytes. Ids are UUIDs, or chosen by the user of a CRD.
	MaxIDBytes = 256
	// MaxTags bounds the tags of an API.
	MaxTags = 64
	// MaxWant bounds the ids named in an ask; who lacks more asks for everything.
	MaxWant = 2_000
	// MaxFailing bounds the APIs listed as failing in a status, the subscriptions listed there, and the replays.
	MaxFailing = 1_024
	// MaxFailingTexts bounds the failing APIs whose error text is in the status, and so the subscriptions; the others are
	// listed without.
	MaxFailingTexts = 256
	// MaxErrorBytes bounds an error text in a status, in bytes.
	MaxErrorBytes = 512
	// MaxAttempts bounds the attempts in an answer, and MaxAttemptsBytes the answer, in bytes.
	MaxAttempts      = 100
	MaxAttemptsBytes = 256 << 10
	// NonceBytes and TransferBytes are the lengths of an ask's nonce and of a transfer's name, in bytes.
	NonceBytes    = 16
	TransferBytes = 16

	maxRecordBytes = MaxDefinitionBytes + MaxTags*maxTagBytes + MaxIDBytes + 1024 // 1024: field headers
	maxChunks      = MaxBodyBytes/ChunkBytes + 1
	maxFields      = 4_096           // fields at the top of a message: MaxWant or MaxFailing repeated ones and the rest
	maxPieceFields = MaxTags + 16    // fields of a record's piece
	maxIntervalMS  = 10 * 60 * 1_000 // a heartbeat or status period: ten minutes
	maxTextBytes   = 1_024           // a fault or a version
)
