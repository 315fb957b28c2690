// Command approver is an independent approver: it shows what agents wait for and
// sends what a person says. Of Sallyport it knows a stream and a subject only.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func main() {
	if len(os.Args) != 4 {
		log.Fatal("usage: approver URL-FILE CREDS-FILE TOKEN-FILE")
	}
	log.Println(approve(context.Background(), os.Args[1], os.Args[2], os.Args[3], os.Stdin, os.Stdout))
}

// approve asks on out about each request and reads y or n from in, until it ends.
func approve(ctx context.Context, urlFile, creds, tokenFile string, in io.Reader, out io.Writer) error {
	url, errURL := os.ReadFile(urlFile)
	nc, err := nats.Connect(string(bytes.TrimSpace(url)), nats.UserCredentials(creds), nats.CustomInboxPrefix("_INBOX.approver"), nats.MaxReconnects(-1))
	if err := errors.Join(err, errURL); err != nil {
		return err
	}
	defer nc.Close()
	js, _ := jetstream.New(nc) // fails for bad options only
	consumer, err := js.OrderedConsumer(ctx, "SALLYPORT_APPROVALS", jetstream.OrderedConsumerConfig{FilterSubjects: []string{"sallyport.approvals.pending.*"}, DeliverPolicy: jetstream.DeliverNewPolicy})
	if err != nil {
		return err
	}
	messages, err := consumer.Messages()
	for lines, m := bufio.NewScanner(in), jetstream.Msg(nil); err == nil || errors.Is(err, jetstream.ErrNoHeartbeat); { // NATS is away, and will be back
		var event struct{ Data map[string]any }
		if m, err = messages.Next(jetstream.NextContext(ctx)); err != nil || json.Unmarshal(m.Data(), &event) != nil {
			continue
		}
		fmt.Fprintf(out, "%+q\nallow it? y or n: ", m.Data()) // agents wrote in it: nothing raw on a terminal
		if !lines.Scan() {
			return lines.Err()
		}
		token, errToken := os.ReadFile(tokenFile) // each time: it is replaced before it expires
		answer, _ := json.Marshal(map[string]any{"approval": event.Data["approval"], "digest": event.Data["digest"], "decision": map[bool]string{true: "allow", false: "deny"}[lines.Text() == "y"], "token": string(bytes.TrimSpace(token))})
		reply, errNATS := nc.Request(fmt.Sprint("sallyport.approvals.answer.", event.Data["approval"]), answer, 10*time.Second)
		if err = errors.Join(errToken, errNATS); err == nil {
			fmt.Fprintf(out, "%+q\n", reply.Data) // accepted, or why not
		}
	}
	return err
}
