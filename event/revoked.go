package event

import "time"

// Revoked is the data of revoked: an operator has stopped a subject, a session or a
// target, or lets it go on. Each gateway records what it did itself. Where a session
// is meant the event is that session's; else it belongs to none.
type Revoked struct {
	Common
	Subject         string    `json:"subject,omitempty"` // who is stopped, with Issuer; "": see Session and Target
	Issuer          string    `json:"issuer,omitempty"`  // "": the subject of every issuer
	Session         string    `json:"session,omitempty"` // a ULID
	Target          string    `json:"target,omitempty"`
	Reason          string    `json:"reason"`
	Until           time.Time `json:"until,omitzero"` // zero: until it is lifted
	Lifted          bool      `json:"lifted,omitempty"`
	SessionsClosed  int       `json:"sessionsClosed,omitempty"`
	TunnelsCut      int       `json:"tunnelsCut,omitempty"`
	RequestsCut     int       `json:"requestsCut,omitempty"`     // under way or held
	Approvals       []string  `json:"approvals,omitempty"`       // that were pending or not yet used, and lead to nothing any more
	ApprovalsFailed string    `json:"approvalsFailed,omitempty"` // why some may still be there; they let nothing through while it is revoked
}

// Kind implements Data.
func (*Revoked) Kind() Kind { return KindRevoked }

func (d *Revoked) cleaned() Data {
	c := *d
	c.Common.clean()
	for _, s := range []*string{&c.Subject, &c.Issuer, &c.Session, &c.Target, &c.Reason, &c.ApprovalsFailed} {
		*s = clean(*s)
	}
	c.Until, c.Approvals = c.Until.UTC(), cleanAll(c.Approvals)
	return &c
}
