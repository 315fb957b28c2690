package event

// What a Recorded holds.
const (
	FormBody       = "body"       // the body, masked
	FormParameters = "parameters" // a request's parameters, masked, as JSON: the body's readable form
)

// Why a Recorded does not hold all of a body.
const (
	OmittedMode      = "digest"    // record.bodies, or a rule's, is digest
	OmittedLimit     = "limit"     // it is longer than body_limit
	OmittedEncoded   = "encoded"   // it is compressed, and what is inside was not looked at
	OmittedSensitive = "sensitive" // AWS marks all of it as secret
	OmittedPart      = "part"      // it is several parts of an object, of which secrets cannot be told
	OmittedMasking   = "masking"   // it could not be masked
	OmittedBroken    = "broken"    // it broke off, or its recording did
	OmittedDenied    = "denied"    // the request was denied, and its parameters are not all in its event
)

// ParametersType is the content type of FormParameters.
const ParametersType = "application/vnd.sallyport.parameters+json"

// Recorded says how much of a body is on record, always masked: in the body events of
// the exchange with that part, in the order of their index.
type Recorded struct {
	Form        string `json:"form"`                  // FormBody or FormParameters
	ContentType string `json:"contentType,omitempty"` // of what is recorded, as the sender said
	// Pieces is how many body events there are. None with FormParameters, and nothing
	// omitted: the request event's requestParameters are all of it.
	Pieces int    `json:"pieces,omitempty"`
	Size   int64  `json:"size"`             // bytes of the pieces together
	SHA256 string `json:"sha256,omitempty"` // hex, of the pieces together; "" of none
	// Omitted says why the pieces are not all of the body; "" where they are.
	Omitted string `json:"omitted,omitempty"`
}

func (r *Recorded) cleaned() *Recorded {
	if r == nil {
		return nil
	}
	c := *r
	c.Form, c.ContentType, c.SHA256, c.Omitted = clean(c.Form), clean(c.ContentType), clean(c.SHA256), clean(c.Omitted)
	return &c
}
