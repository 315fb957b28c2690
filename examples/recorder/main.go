// Command recorder is an independent recorder: it appends every event of a gateway to a file.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) != 5 {
		log.Fatal("usage: recorder URL-FILE CREDS-FILE EVENTS-FILE NAME")
	} else if err := record(ctx, os.Args[1], os.Args[2], os.Args[3], os.Args[4]); ctx.Err() == nil {
		log.Fatal(err)
	}
}

// record appends until ctx ends. NATS remembers under name what has been taken.
func record(ctx context.Context, urlFile, creds, file, name string) error {
	url, errURL := os.ReadFile(urlFile)
	out, errFile := os.OpenFile(file, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	nc, err := nats.Connect(string(bytes.TrimSpace(url)), nats.UserCredentials(creds), nats.CustomInboxPrefix("_INBOX.recorder"), nats.MaxReconnects(-1))
	if err := errors.Join(errURL, errFile, err); err != nil {
		return err
	}
	defer func() { nc.Close(); out.Close() }()
	js, _ := jetstream.New(nc) // fails for bad options only
	consumer, err := js.CreateOrUpdateConsumer(ctx, "SALLYPORT_EVENTS", jetstream.ConsumerConfig{Durable: name, AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		return err
	}
	messages, err := consumer.Messages()
	line := []byte{'\n'}                                         // ends what a crash has torn
	for err == nil || errors.Is(err, jetstream.ErrNoHeartbeat) { // NATS is away, and will be back
		var m jetstream.Msg
		if m, err = messages.Next(jetstream.NextContext(ctx)); err != nil {
			continue
		}
		text := m.Data()
		if m.Headers().Get("ce-type") != "" { // a piece of a body: attributes in headers, bytes as they are
			text, _ = json.Marshal(map[string]any{"headers": m.Headers(), "data_base64": text})
		}
		_, errWrite := out.Write(append(append(line, text...), '\n'))
		if err = errors.Join(errWrite, out.Sync()); err == nil {
			line, err = nil, m.Ack() // on disk; without this the event comes again
		}
	}
	return err
}
