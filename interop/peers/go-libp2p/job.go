package main

import (
	"errors"
	"flag"
	"fmt"
)

const (
	kib = 1024
	mib = 1024 * kib
	gib = 1024 * mib
)

// bulkBuffer is the size of a write or read wherever no flag says another.
const bulkBuffer = 64 * kib

// job is what the command line asks to be measured.
type job interface {
	// define declares the job's flags with their defaults.
	define(flags *flag.FlagSet)
	// check refuses values that make no sense.
	check() error
	// prepare does all that is not to be timed, and returns what is.
	prepare(to string) (measurement, error)
}

// measurement does the work that is timed, and returns the fields of its result.
type measurement func() (fields, error)

// parseJob reads the job's name and its flags.
func parseJob(words []string) (job, error) {
	if len(words) == 0 {
		return nil, errors.New("bench-run needs a job")
	}
	chosen, err := jobNamed(words[0])
	if err != nil {
		return nil, err
	}
	flags := newFlags(words[0])
	chosen.define(flags)
	if err := flags.Parse(words[1:]); err != nil {
		return nil, err
	}
	if err := noMoreWords(flags); err != nil {
		return nil, err
	}
	if err := chosen.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", words[0], err)
	}
	return chosen, nil
}

func jobNamed(name string) (job, error) {
	switch name {
	case "upload":
		return &transferJob{ways: []way{up}}, nil
	case "download":
		return &transferJob{ways: []way{down}}, nil
	case "duplex":
		return &transferJob{ways: []way{up, down}}, nil
	case "ping":
		return &pingJob{}, nil
	case "connect":
		return &connectJob{}, nil
	case "open":
		return &openJob{}, nil
	case "hold":
		return &holdJob{}, nil
	case "fair-request":
		return &fairRequestJob{}, nil
	default:
		return nil, fmt.Errorf(
			"no such job: %s; there are upload, download, duplex, ping, connect, open, hold, fair-request", name)
	}
}

// way is a direction of bytes. It is a flag's value.
type way bool

const (
	// up is from the client to the server.
	up way = false
	// down is from the server to the client.
	down way = true
)

// String is the word on the command line.
func (w *way) String() string {
	if *w == down {
		return "down"
	}
	return "up"
}

// Set reads the word on the command line.
func (w *way) Set(word string) error {
	switch word {
	case "up":
		*w = up
	case "down":
		*w = down
	default:
		return errors.New("a direction is up or down")
	}
	return nil
}

// positive names the first value that is not above zero.
func positive(values map[string]int) error {
	for name, value := range values {
		if value <= 0 {
			return fmt.Errorf("--%s must be above zero", name)
		}
	}
	return nil
}
