package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
)

// exchange is one question and the room for its answer, used again and again.
type exchange struct {
	question, answer []byte
}

func newExchange(length int) *exchange {
	return &exchange{question: bytes.Repeat([]byte{7}, length), answer: make([]byte, length)}
}

// roundTrip sends the question and reads as much.
func (e *exchange) roundTrip(stream network.Stream) error {
	if _, err := stream.Write(e.question); err != nil {
		return fmt.Errorf("sending %d bytes: %w", len(e.question), err)
	}
	return e.readAnswer(stream)
}

// request sends the question on a fresh stream, ends it, and reads the answer to the end.
func (e *exchange) request(stream network.Stream) error {
	if _, err := stream.Write(e.question); err != nil {
		return fmt.Errorf("sending %d bytes: %w", len(e.question), err)
	}
	if err := stream.CloseWrite(); err != nil {
		return fmt.Errorf("ending a request: %w", err)
	}
	if err := e.readAnswer(stream); err != nil {
		return err
	}
	if length, err := stream.Read(e.answer); length > 0 {
		return fmt.Errorf("an echo is longer than %d bytes", len(e.question))
	} else if !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading the end of an echo: %w", err)
	}
	return stream.Close()
}

func (e *exchange) readAnswer(stream network.Stream) error {
	if _, err := io.ReadFull(stream, e.answer); err != nil {
		return fmt.Errorf("reading an echo: %w", err)
	}
	if !bytes.Equal(e.question, e.answer) {
		return errors.New("an echo differs from what was sent")
	}
	return nil
}

// echo opens a stream and makes one request on it.
func (c *client) echo(e *exchange) error {
	stream, err := c.open(echoProtocol)
	if err != nil {
		return err
	}
	return e.request(stream)
}

// pingJob times round trips on one stream.
type pingJob struct {
	count int
}

func (j *pingJob) define(flags *flag.FlagSet) {
	flags.IntVar(&j.count, "count", 10_000, "round trips")
}

func (j *pingJob) check() error {
	return positive(map[string]int{"count": j.count})
}

func (j *pingJob) prepare(to string) (measurement, error) {
	warm, err := warmClient(to)
	if err != nil {
		return nil, err
	}
	return func() (fields, error) { return j.measure(warm) }, nil
}

func (j *pingJob) measure(warm *client) (fields, error) {
	stream, err := warm.open(ping.ID)
	if err != nil {
		return nil, err
	}
	// The first one also agrees on the protocol.
	packet := newExchange(ping.PingSize)
	if err := packet.roundTrip(stream); err != nil {
		return nil, err
	}
	return timeEach(j.count, func() error { return packet.roundTrip(stream) })
}

// openJob times streams on one connection.
type openJob struct {
	count, parallel int
}

func (j *openJob) define(flags *flag.FlagSet) {
	flags.IntVar(&j.count, "count", 10_000, "streams in all")
	flags.IntVar(&j.parallel, "parallel", 1, "streams at once")
}

func (j *openJob) check() error {
	return positive(map[string]int{"count": j.count, "parallel": j.parallel})
}

func (j *openJob) prepare(to string) (measurement, error) {
	warm, err := warmClient(to)
	if err != nil {
		return nil, err
	}
	return func() (fields, error) { return j.measure(warm) }, nil
}

func (j *openJob) measure(warm *client) (fields, error) {
	exchanges := make([]*exchange, j.parallel)
	for worker := range exchanges {
		exchanges[worker] = newExchange(1)
	}
	return timeAll(j.count, j.parallel, func(worker int) error { return warm.echo(exchanges[worker]) })
}

// timeEach does something again and again and returns percentiles of how long it took.
func timeEach(count int, work func() error) (fields, error) {
	durations := make([]time.Duration, count)
	for index := range durations {
		started := time.Now()
		if err := work(); err != nil {
			return nil, err
		}
		durations[index] = time.Since(started)
	}
	return percentiles(durations), nil
}
