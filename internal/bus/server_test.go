package bus

import "testing"

// Whatever a stream does not exempt itself from is synced before it is acknowledged.
func TestServerSyncs(t *testing.T) {
	c := startServer(t).ns.JetStreamConfig()
	if c == nil || !c.SyncAlways || c.SyncInterval != SyncInterval {
		t.Errorf("%+v", c)
	}
}
