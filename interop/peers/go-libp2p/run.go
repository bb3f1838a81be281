package main

import (
	"slices"
	"sync/atomic"
	"time"
)

// run prepares a job, runs it when the runner says so, and prints what it measured.
func run(to string, job job) error {
	measure, err := job.prepare(to)
	if err != nil {
		return err
	}
	if err := ready(); err != nil {
		return err
	}
	result, err := measure()
	if err != nil {
		return err
	}
	if err := tell("result", result); err != nil {
		return err
	}
	return untilInputEnds()
}

// atOnce runs workers beside each other. The first failure is the answer; it does not wait for the others, which the
// end of the program stops.
func atOnce(workers int, work func(worker int) error) error {
	done := make(chan error, workers)
	for worker := range workers {
		go func() { done <- work(worker) }()
	}
	for range workers {
		if err := <-done; err != nil {
			return err
		}
	}
	return nil
}

// timeAll does something so many times, with some workers at once.
func timeAll(count, parallel int, work func(worker int) error) (fields, error) {
	started := time.Now()
	var taken atomic.Int64
	err := atOnce(parallel, func(worker int) error {
		for taken.Add(1) <= int64(count) {
			if err := work(worker); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return fields{"count": count, "seconds": time.Since(started).Seconds()}, nil
}

// percentiles of durations, and the longest one, in microseconds.
func percentiles(durations []time.Duration) fields {
	slices.Sort(durations)
	at := func(share int) float64 {
		index := min(len(durations)*share/100, len(durations)-1)
		return float64(durations[index]) / float64(time.Microsecond)
	}
	return fields{"p50_us": at(50), "p99_us": at(99), "max_us": at(100), "count": len(durations)}
}
