package main

import (
	"errors"
	"flag"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

const (
	requestBytes = kib
	// endless is a transfer that does not end by itself.
	endless = math.MaxInt64
	// warmPoll is how often the transfers are asked whether they are under way.
	warmPoll = 5 * time.Millisecond
)

// fairRequestJob times requests beside transfers that never end.
type fairRequestJob struct {
	count, bulk int
	direction   way
	warmBytes   uint64
}

func (j *fairRequestJob) define(flags *flag.FlagSet) {
	flags.IntVar(&j.count, "count", 100, "requests, one after another")
	flags.IntVar(&j.bulk, "bulk", 8, "transfers beside them")
	flags.Var(&j.direction, "direction", "which way the transfers go: up or down")
	flags.Uint64Var(&j.warmBytes, "warm-bytes", mib, "bytes that each transfer moves before the first request")
}

func (j *fairRequestJob) check() error {
	return positive(map[string]int{"count": j.count, "bulk": j.bulk})
}

func (j *fairRequestJob) prepare(to string) (measurement, error) {
	warm, err := warmClient(to)
	if err != nil {
		return nil, err
	}
	return func() (fields, error) { return j.measure(warm) }, nil
}

func (j *fairRequestJob) measure(warm *client) (fields, error) {
	background := bulk{moved: make([]atomic.Uint64, j.bulk), failed: make(chan error, j.bulk)}
	if err := background.start(warm, j.direction); err != nil {
		return nil, err
	}
	if err := background.untilEachMoved(j.warmBytes); err != nil {
		return nil, err
	}
	question := newExchange(requestBytes)
	result, err := timeEach(j.count, func() error { return warm.echo(question) })
	if err != nil {
		return nil, err
	}
	if err := background.running(); err != nil {
		return nil, err
	}
	background.stop()
	return result, nil
}

// bulk is a number of transfers in the background.
type bulk struct {
	streams []network.Stream
	moved   []atomic.Uint64
	// failed tells of each transfer that ended, at most once each.
	failed chan error
}

func (b *bulk) start(warm *client, direction way) error {
	for index := range b.moved {
		stream, err := warm.open(perfProtocol)
		if err != nil {
			return err
		}
		b.streams = append(b.streams, stream)
		go func() { b.failed <- transfer(stream, direction, endless, bulkBuffer, &b.moved[index]) }()
	}
	return nil
}

func (b *bulk) untilEachMoved(bytes uint64) error {
	for index := range b.moved {
		for b.moved[index].Load() < bytes {
			if err := b.running(); err != nil {
				return err
			}
			time.Sleep(warmPoll)
		}
	}
	return nil
}

// running is an error once a transfer has ended.
func (b *bulk) running() error {
	select {
	case err := <-b.failed:
		if err == nil {
			return errors.New("a transfer without end has ended")
		}
		return fmt.Errorf("a transfer in the background: %w", err)
	default:
		return nil
	}
}

// stop gives the streams up, so that an idle runner sees an idle connection.
func (b *bulk) stop() {
	for _, stream := range b.streams {
		_ = stream.Reset()
	}
}
