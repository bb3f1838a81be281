package main

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// transferJob moves bytes over streams that run at once: `streams` for each way.
type transferJob struct {
	ways    []way
	bytes   uint64
	buffer  int
	streams int
}

func (j *transferJob) define(flags *flag.FlagSet) {
	flags.Uint64Var(&j.bytes, "bytes", gib, "bytes in all, each way")
	flags.IntVar(&j.buffer, "buffer", bulkBuffer, "bytes of one write or read")
	flags.IntVar(&j.streams, "streams", 1, "streams at once")
}

func (j *transferJob) check() error {
	if len(j.ways) > 1 && j.streams != 1 {
		return errors.New("--streams must be 1")
	}
	return positive(map[string]int{"buffer": j.buffer, "streams": j.streams})
}

func (j *transferJob) prepare(to string) (measurement, error) {
	warm, err := warmClient(to)
	if err != nil {
		return nil, err
	}
	return func() (fields, error) { return j.measure(warm) }, nil
}

// measure times from the opening of the first stream until the last one's end was read.
func (j *transferJob) measure(warm *client) (fields, error) {
	started := time.Now()
	var moved atomic.Uint64
	err := atOnce(len(j.ways)*j.streams, func(index int) error {
		stream, err := warm.open(perfProtocol)
		if err != nil {
			return err
		}
		share := j.bytes / uint64(j.streams)
		if err := transfer(stream, j.ways[index%len(j.ways)], share, j.buffer, nil); err != nil {
			return err
		}
		moved.Add(share)
		return stream.Close()
	})
	if err != nil {
		return nil, err
	}
	return fields{"bytes": moved.Load(), "seconds": time.Since(started).Seconds()}, nil
}

// transfer moves bytes one way over a perf stream, until its end was read. Progress, if there is one, counts them.
func transfer(stream network.Stream, direction way, bytes uint64, buffer int, progress *atomic.Uint64) error {
	upload, download := bytes, uint64(0)
	if direction == down {
		upload, download = 0, bytes
	}
	var wanted [8]byte
	binary.BigEndian.PutUint64(wanted[:], download)
	if _, err := stream.Write(wanted[:]); err != nil {
		return fmt.Errorf("asking for %d bytes: %w", download, err)
	}
	data := make([]byte, buffer)
	if err := send(stream, data, upload, progress); err != nil {
		return fmt.Errorf("uploading: %w", err)
	}
	if err := stream.CloseWrite(); err != nil {
		return fmt.Errorf("ending an upload: %w", err)
	}
	received, err := discard(stream, data, progress)
	if err != nil {
		return fmt.Errorf("downloading: %w", err)
	}
	if received != download {
		return fmt.Errorf("the server sent %d bytes instead of %d", received, download)
	}
	return nil
}

// send writes so many bytes, a buffer at a time.
func send(stream network.Stream, buffer []byte, left uint64, progress *atomic.Uint64) error {
	for left > 0 {
		piece := buffer[:min(left, uint64(len(buffer)))]
		if _, err := stream.Write(piece); err != nil {
			return err
		}
		if progress != nil {
			progress.Add(uint64(len(piece)))
		}
		left -= uint64(len(piece))
	}
	return nil
}

// discard reads to the end and returns how many bytes came.
func discard(stream network.Stream, buffer []byte, progress *atomic.Uint64) (uint64, error) {
	received := uint64(0)
	for {
		length, err := stream.Read(buffer)
		received += uint64(length)
		if progress != nil {
			progress.Add(uint64(length))
		}
		if errors.Is(err, io.EOF) {
			return received, nil
		}
		if err != nil {
			return received, err
		}
	}
}
