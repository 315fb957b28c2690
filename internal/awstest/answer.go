package awstest

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"strconv"
	"strings"
)

func (x *exchange) xml(status int, v any) error {
	b, err := xml.Marshal(v)
	if err != nil {
		return fmt.Errorf("awstest: %w", err)
	}
	return x.raw(status, "text/xml", append([]byte(xml.Header), b...))
}

func (x *exchange) raw(status int, contentType string, body []byte) error {
	x.status, x.out = status, body
	if contentType != "" {
		x.header.Set("Content-Type", contentType)
	}
	return nil
}

func (x *exchange) json(status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("awstest: %w", err)
	}
	ct := "application/x-amz-json-1.1"
	if x.service == "dynamodb" {
		ct = "application/x-amz-json-1.0"
		x.header.Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(b)), 10))
	}
	return x.raw(status, ct, b)
}

type errorXML struct {
	XMLName   xml.Name `xml:"Error"`
	Type      string   `xml:",omitempty"`
	Code      string
	Message   string
	RequestId string `xml:",omitempty"`
}

// fail answers in the error shape of the service that was asked.
func (x *exchange) fail(err error) {
	var e *Error
	if !errors.As(err, &e) {
		e = fault(http.StatusInternalServerError, "InternalFailure", err.Error())
	}
	x.rec.ErrorCode = e.Code
	x.header = http.Header{}
	host := x.rec.Host
	one := errorXML{Code: e.Code, Message: e.Message}
	switch {
	case x.rec.Method == http.MethodHead:
		_ = x.raw(e.Status, "", nil)
	case strings.HasPrefix(host, "dynamodb.") || strings.HasPrefix(host, "secretsmanager.") || strings.HasPrefix(host, "lambda."):
		_ = x.json(e.Status, map[string]string{"__type": "com.amazonaws.simulated#" + e.Code, "message": e.Message, "Message": e.Message})
	case strings.HasPrefix(host, "ec2."):
		_ = x.xml(e.Status, struct {
			XMLName   xml.Name   `xml:"Response"`
			Errors    []errorXML `xml:"Errors>Error"`
			RequestID string
		}{Errors: []errorXML{one}, RequestID: "simulated"})
	case strings.HasPrefix(host, "sts."):
		one.Type = "Sender"
		_ = x.xml(e.Status, struct {
			XMLName   xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ ErrorResponse"`
			Error     errorXML
			RequestId string
		}{Error: one, RequestId: "simulated"})
	default:
		one.RequestId = "simulated"
		_ = x.xml(e.Status, one)
		x.header.Set("Content-Type", "application/xml")
	}
}
