// Package faults kills processes at random and asks what the record says then. The
// gateway, the NATS server and the recorder run as they do in earnest, each in a process
// of its own; only AWS is simulated, since it has to say what reached it.
//
// What must hold whatever dies when: nothing reached AWS that is not on record with
// the decision that let it through, and no client got a complete answer that is not
// on record. SALLYPORT_FAULTS sets the number of requests.
package faults
