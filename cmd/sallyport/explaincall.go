package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/sallyport/sallyport/awsapi"
	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/event"
	"github.com/sallyport/sallyport/internal/postform"
	"github.com/sallyport/sallyport/internal/server"
	"github.com/sallyport/sallyport/recorder"
)

// callFromFile reads an HTTP/1.1 request as a client sends it inside its tunnel,
// and identifies it as the gateway would. Authorization is not needed.
func callFromFile(ids *awsapi.Identifier, name, account string) (*awsapi.Call, error) {
	data, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(data)))
	if err != nil {
		return nil, fmt.Errorf("%s is not an HTTP/1.1 request (METHOD PATH HTTP/1.1, headers, an empty line, the body; lines end in CR LF or LF): %w", name, err)
	}
	host := strings.TrimSuffix(strings.ToLower(r.Host), ":443")
	if host == "" {
		return nil, fmt.Errorf("%s has no Host header, which says the service and region", name)
	}
	head, err := ids.Head(awsapi.Request{Method: r.Method, Host: host, Target: r.RequestURI, Header: r.Header, ContentLength: r.ContentLength, Account: account})
	if err != nil {
		return nil, err
	}
	if boundary, ok := head.FormUpload(); ok {
		form, err := postform.Read(r.Body, boundary, r.ContentLength)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if head, err = head.WithForm(form, account); err != nil {
			return nil, err
		}
	}
	var body []byte
	if !head.Streams() {
		if body, err = io.ReadAll(io.LimitReader(r.Body, awsapi.MaxBody)); err != nil {
			return nil, fmt.Errorf("%s: the body is shorter than its Content-Length says: %w", name, err)
		}
	}
	return head.Call(body)
}

// recordedRequest finds a request by the id that refusals and `sessions show` give.
func recordedRequest(conf *config.Config, id string) (*event.Request, error) {
	records := recorder.Records{Dir: server.RecordsDir(conf)}
	list, _, err := records.List()
	if err != nil {
		return nil, err
	}
	for _, s := range list {
		session, err := records.Read(s.Session)
		if err != nil {
			return nil, err
		}
		for _, e := range session.Events {
			if r, ok := e.Data.(*event.Request); ok && r.RequestID == id {
				return r, nil
			}
		}
	}
	return nil, fmt.Errorf("no request %s is on record; `sallyport sessions show` lists them", id)
}

// callFromRecord is the call that a recorded request was, with its parameters as
// they are on record: secret ones are masked there, so a condition on those sees
// the mask.
func callFromRecord(ids *awsapi.Identifier, r *event.Request, partition string) (*awsapi.Call, error) {
	if len(r.Actions) == 0 || r.Service == "" {
		return nil, errors.New("the recorded request was not identified, so there is nothing to decide")
	}
	call, err := ids.CallByName(r.Service+":"+r.EventName, "*", partition, r.AWSRegion)
	if err != nil {
		return nil, err
	}
	resources := make([]awsapi.Resource, 0, len(r.Resources))
	for _, on := range r.Resources {
		resources = append(resources, awsapi.Resource{ARN: on.ARN, Type: on.Type, Account: on.AccountID, Partial: strings.Contains(on.ARN, "*")})
	}
	if len(resources) > 0 && len(call.Actions) > 0 {
		call.Actions[0].Resources = resources
	}
	return call.WithParams(r.RequestParameters), nil
}
