package refusal

// Shape says how a refusal must look on the wire for the client that is being
// refused. The zero value stands for a client whose protocol is not known: it
// gets JSON with both spellings of the message, which every AWS JSON parser and
// every person can read.
type Shape struct {
	// Protocol is the AWS protocol by the catalog's name for it: query, ec2,
	// json, rest-json, rest-xml, smithy-rpc-v2-cbor. Anything else is unknown.
	Protocol string
	// S3 marks the S3 family, whose rest-xml errors have no ErrorResponse around
	// them and whose request id travels as x-amz-request-id.
	S3 bool
	// JSONVersion is 1.0 or 1.1 for Protocol json; empty means 1.0.
	JSONVersion string
	// Namespace stands before the # of the __type of json and CBOR errors. May
	// be empty: parsers look only behind the #.
	Namespace string
	// XMLNamespace is the xmlns of query and rest-xml errors. May be empty.
	XMLNamespace string
	// QueryCompatible marks json and CBOR services that once spoke query (SQS,
	// CloudWatch): their clients take the error code from x-amzn-query-error
	// (Smithy, AWS query compatible trait).
	QueryCompatible bool
	// Head marks an answer to a HEAD request: headers only.
	Head bool
}

// family is one way of writing an error down.
type family int

const (
	unknownFamily family = iota
	queryFamily
	ec2Family
	s3Family
	jsonFamily
	restJSONFamily
	cborFamily
)

func (s Shape) family() family {
	switch s.Protocol {
	case "query":
		return queryFamily
	case "ec2":
		return ec2Family
	case "rest-xml":
		if s.S3 {
			return s3Family
		}
		// Route 53 and CloudFront wrap their errors as query services do.
		return queryFamily
	case "json":
		return jsonFamily
	case "rest-json":
		return restJSONFamily
	case "smithy-rpc-v2-cbor":
		return cborFamily
	}
	return unknownFamily
}

// status is the HTTP status of a reason. Whatever is not known is a fault of
// ours and is refused as unavailable.
func status(r Reason) int {
	switch r {
	case Denied, Pending, Unidentified, Identity, Credentials:
		return 403
	case Malformed:
		return 400
	case Masking:
		return 502
	}
	return 503
}

// code is the error code that the client's SDK raises. No 4xx code is on the
// retry lists of the SDKs (anything with Throttl, SlowDown, RequestTimeout,
// the clock skew codes): a refusal must be seen at once, and once.
func code(f family, r Reason) string {
	xml := f == queryFamily || f == ec2Family || f == s3Family
	switch status(r) {
	case 403:
		if xml {
			return "AccessDenied"
		}
		return "AccessDeniedException"
	case 400:
		switch f {
		case queryFamily:
			return "ValidationError"
		case ec2Family, s3Family:
			return "InvalidRequest"
		}
		return "ValidationException"
	case 502:
		if f == s3Family {
			return "InternalError"
		}
		if xml {
			return "InternalFailure"
		}
		return "InternalServerException"
	}
	if xml {
		return "ServiceUnavailable"
	}
	return "ServiceUnavailableException"
}

// queryCode is the code in x-amzn-query-error: these clients still look for the
// codes their service had when it spoke query.
func queryCode(r Reason) string { return code(queryFamily, r) }

// fault is Sender or Receiver, as in query errors' Type.
func fault(r Reason) string {
	if status(r) < 500 {
		return "Sender"
	}
	return "Receiver"
}
