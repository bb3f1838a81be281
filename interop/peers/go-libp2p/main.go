// Command bowline-bench-go-libp2p is go-libp2p as one side of a benchmark.
//
//	bowline-bench-go-libp2p bench-serve [--listen HOST:PORT] [--runtime multi|one-thread]
//	bowline-bench-go-libp2p bench-run --to ADDRESS [--runtime multi|one-thread] JOB [job flags]
//
// Standard output carries one JSON object a line, see lines.go; everything else goes to standard error.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
)

const usage = "usage: bench-serve [--listen HOST:PORT] [--runtime multi|one-thread]\n" +
	"       bench-run --to ADDRESS [--runtime multi|one-thread] JOB [job flags]"

func main() {
	err := command(os.Args[1:])
	// Nothing is closed on the way out: the end of the process ends its connections, also those whose queues are full.
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

// command runs the side that the first word names.
func command(words []string) error {
	if len(words) == 0 {
		return errors.New(usage)
	}
	switch words[0] {
	case "bench-serve":
		return benchServe(words[1:])
	case "bench-run":
		return benchRun(words[1:])
	case "-h", "-help", "--help":
		fmt.Fprintln(os.Stderr, usage)
		return nil
	default:
		return fmt.Errorf("no such command: %s\n%s", words[0], usage)
	}
}

func benchServe(words []string) error {
	flags := newFlags("bench-serve")
	listen := flags.String("listen", "127.0.0.1:0", "where to listen")
	threads := flags.String("runtime", "multi", "multi or one-thread")
	if err := flags.Parse(words); err != nil {
		return err
	}
	if err := noMoreWords(flags); err != nil {
		return err
	}
	if err := setThreads(*threads); err != nil {
		return err
	}
	return serve(*listen)
}

func benchRun(words []string) error {
	flags := newFlags("bench-run")
	to := flags.String("to", "", "the address that the server printed")
	threads := flags.String("runtime", "multi", "multi or one-thread")
	if err := flags.Parse(words); err != nil {
		return err
	}
	if *to == "" {
		return errors.New("bench-run needs --to ADDRESS")
	}
	if err := setThreads(*threads); err != nil {
		return err
	}
	job, err := parseJob(flags.Args())
	if err != nil {
		return err
	}
	return run(*to, job)
}

// setThreads sets how many threads run Go code at once: what Go finds, or one.
func setThreads(name string) error {
	switch name {
	case "multi":
	case "one-thread":
		runtime.GOMAXPROCS(1)
	default:
		return fmt.Errorf("--runtime is multi or one-thread, not %q", name)
	}
	return nil
}

func newFlags(name string) *flag.FlagSet {
	return flag.NewFlagSet(name, flag.ContinueOnError)
}

func noMoreWords(flags *flag.FlagSet) error {
	if flags.NArg() > 0 {
		return fmt.Errorf("%s does not take %q", flags.Name(), flags.Args())
	}
	return nil
}
