// Command recorder is an independent recorder: it appends every event of a
// gateway to a file of its own. Of Sallyport it knows the name of a stream only.
package main

import (
	"bytes"
	"context"
	"errors"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func main() {
	if len(os.Args) != 5 {
		log.Fatal("usage: recorder URL-FILE CREDS-FILE EVENTS-FILE NAME")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := record(ctx, os.Args[1], os.Args[2], os.Args[3], os.Args[4]); ctx.Err() == nil {
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
	defer nc.Close()
	defer out.Close()
	js, _ := jetstream.New(nc) // fails for bad options only
	consumer, err := js.CreateOrUpdateConsumer(ctx, "SALLYPORT_EVENTS", jetstream.ConsumerConfig{Durable: name, AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		return err
	}
	messages, err := consumer.Messages()
	// The first line feed ends what a crash has torn.
	line := []byte{'\n'}
	for err == nil || errors.Is(err, jetstream.ErrNoHeartbeat) { // NATS is away, and will be back
		var m jetstream.Msg
		if m, err = messages.Next(jetstream.NextContext(ctx)); err != nil {
			continue
		}
		_, errWrite := out.Write(append(append(line, m.Data()...), '\n'))
		if err = errors.Join(errWrite, out.Sync()); err == nil {
			line, err = nil, m.Ack() // on disk; without this the event comes again
		}
	}
	return err
}
