package wire

// SharedWorkerPermissions is what the holders of one key that all workers share may do together: read every stream, ask
// about it, and report. Where each worker has a key of its own, WorkerPermissions is narrower.
func SharedWorkerPermissions() Permissions {
	return Permissions{
		Publish:   []string{AskPattern(), prefix + "*" + chunkInfix + "*", StatusPattern()},
		Subscribe: []string{prefix + "*.rev", prefix + "*.hb", inbox + "*.>"},
	}
}
