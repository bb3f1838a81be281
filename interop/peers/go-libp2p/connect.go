package main

import (
	"flag"
	"time"
)

// connectJob times dials: connect, echo one byte, close. Every worker has an identity of its own.
type connectJob struct {
	count, parallel int
}

func (j *connectJob) define(flags *flag.FlagSet) {
	flags.IntVar(&j.count, "count", 1_000, "connections in all")
	flags.IntVar(&j.parallel, "parallel", 1, "connections at once")
}

func (j *connectJob) check() error {
	return positive(map[string]int{"count": j.count, "parallel": j.parallel})
}

func (j *connectJob) prepare(to string) (measurement, error) {
	dialers := make([]*client, j.parallel)
	for worker := range dialers {
		var err error
		if dialers[worker], err = newClient(to); err != nil {
			return nil, err
		}
	}
	return func() (fields, error) {
		return timeAll(j.count, j.parallel, func(worker int) error { return dialers[worker].visit() })
	}, nil
}

// visit dials, echoes one byte and closes the connection.
func (c *client) visit() error {
	if err := c.connect(); err != nil {
		return err
	}
	if err := c.echo(newExchange(1)); err != nil {
		return err
	}
	return c.host.Network().ClosePeer(c.server.ID)
}

// holdJob opens connections, each from an identity of its own. They stay open as long as the program lives.
type holdJob struct {
	count int
}

func (j *holdJob) define(flags *flag.FlagSet) {
	flags.IntVar(&j.count, "count", 2_000, "connections")
}

func (j *holdJob) check() error {
	return positive(map[string]int{"count": j.count})
}

func (j *holdJob) prepare(to string) (measurement, error) {
	return func() (fields, error) {
		started := time.Now()
		for range j.count {
			guest, err := newClient(to)
			if err != nil {
				return nil, err
			}
			if err := guest.connect(); err != nil {
				return nil, err
			}
			if err := guest.echo(newExchange(1)); err != nil {
				return nil, err
			}
		}
		return fields{"count": j.count, "seconds": time.Since(started).Seconds()}, nil
	}, nil
}
