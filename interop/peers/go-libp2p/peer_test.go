package main

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// asPeer makes the test program behave as the peer itself.
const asPeer = "BENCH_TEST_AS_PEER"

func TestMain(m *testing.M) {
	if os.Getenv(asPeer) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// process is a peer as the runner sees it.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr strings.Builder
}

func start(t *testing.T, words ...string) *process {
	t.Helper()
	peer := &process{t: t, cmd: exec.Command(os.Args[0], words...)}
	peer.cmd.Env = append(os.Environ(), asPeer+"=1")
	peer.cmd.Stderr = &peer.stderr
	stdout, err := peer.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if peer.stdin, err = peer.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := peer.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = peer.cmd.Process.Kill() })
	peer.stdout = bufio.NewReader(stdout)
	return peer
}

// event reads the next line, which has to be of that event.
func (p *process) event(name string) map[string]any {
	p.t.Helper()
	line, err := p.stdout.ReadString('\n')
	if err != nil {
		_ = p.cmd.Wait()
		p.t.Fatalf("waiting for %q: %v; stderr: %s", name, err, p.stderr.String())
	}
	var object map[string]any
	if err := json.Unmarshal([]byte(line), &object); err != nil || object["event"] != name {
		p.t.Fatalf("%q instead of %q (%v)", line, name, err)
	}
	return object
}

// finish ends stdin and expects nothing more but a clean exit.
func (p *process) finish() {
	p.t.Helper()
	_ = p.stdin.Close()
	if rest, err := io.ReadAll(p.stdout); err != nil || len(rest) > 0 {
		p.t.Fatalf("after the result: %q, %v", rest, err)
	}
	if err := p.cmd.Wait(); err != nil || p.stderr.Len() > 0 {
		p.t.Fatalf("%v; stderr: %s", err, p.stderr.String())
	}
}

// fails expects an exit with status 1, no result, and a reason.
func (p *process) fails(reason string) {
	p.t.Helper()
	_ = p.stdin.Close()
	rest, _ := io.ReadAll(p.stdout)
	_ = p.cmd.Wait()
	if code := p.cmd.ProcessState.ExitCode(); code != 1 || strings.Contains(string(rest), "result") {
		p.t.Fatalf("exit code %d, %q", code, rest)
	}
	if !strings.Contains(p.stderr.String(), reason) {
		p.t.Fatalf("%q does not tell %q", p.stderr.String(), reason)
	}
}

// jobs are words for a peer, and what its result has to say it did.
var jobs = []struct {
	words  string
	field  string
	amount float64
}{
	{"upload --bytes 3000000", "bytes", 3_000_000},
	{"upload --bytes 300000 --buffer 1024", "bytes", 300_000},
	{"upload --bytes 1048576 --streams 16", "bytes", 1_048_576},
	{"upload --bytes 0", "bytes", 0},
	{"download --bytes 3000000", "bytes", 3_000_000},
	{"download --bytes 1048576 --streams 64", "bytes", 1_048_576},
	{"duplex --bytes 3000000", "bytes", 6_000_000},
	{"ping --count 50", "count", 50},
	{"connect --count 6", "count", 6},
	{"connect --count 33 --parallel 16", "count", 33},
	{"open --count 50", "count", 50},
	{"open --count 200 --parallel 64", "count", 200},
	{"hold --count 5", "count", 5},
	{"fair-request --count 10", "count", 10},
	{"fair-request --count 10 --direction down --bulk 3", "count", 10},
}

func TestEveryJobOnBothRuntimes(t *testing.T) {
	for _, threads := range []string{"multi", "one-thread"} {
		server := start(t, "bench-serve", "--runtime", threads)
		address := server.event("listening")["address"].(string)
		for _, job := range jobs {
			t.Run(threads+" "+job.words, func(t *testing.T) {
				words := append([]string{"bench-run", "--to", address, "--runtime", threads}, strings.Fields(job.words)...)
				client := start(t, words...)
				client.event("ready")
				_, _ = io.WriteString(client.stdin, "go\n")
				result := client.event("result")
				if result[job.field] != job.amount {
					t.Errorf("%v", result)
				}
				if seconds, timed := result["seconds"].(float64); timed && seconds <= 0 {
					t.Errorf("%v", result)
				} else if _, percentile := result["p99_us"].(float64); !timed && !percentile {
					t.Errorf("%v", result)
				}
				client.finish()
			})
		}
		server.finish()
	}
}

func TestFailuresAreNoResults(t *testing.T) {
	server := start(t, "bench-serve", "--listen", "127.0.0.1:0")
	address := server.event("listening")["address"].(string)
	start(t).fails("usage")
	start(t, "serve").fails("no such command")
	start(t, "bench-serve", "--listen", "nowhere").fails("--listen")
	start(t, "bench-run", "upload").fails("--to")
	start(t, "bench-run", "--to", "/ip4/127.0.0.1/tcp/1", "ping").fails("/ip4/127.0.0.1/tcp/1")
	start(t, "bench-run", "--to", address, "--runtime", "two", "ping").fails("--runtime")
	start(t, "bench-run", "--to", address, "dance").fails("no such job")
	start(t, "bench-run", "--to", address, "duplex", "--streams", "2").fails("--streams")
	start(t, "bench-run", "--to", address, "open", "--parallel", "0").fails("--parallel")
	start(t, "bench-run", "--to", address, "fair-request", "--direction", "left").fails("direction")
	// The input ends before the job was started.
	start(t, "bench-run", "--to", address, "ping").fails("stdin ended")

	orphan := start(t, "bench-run", "--to", address, "upload", "--bytes", "1099511627776")
	orphan.event("ready")
	_, _ = io.WriteString(orphan.stdin, "go\n")
	server.finish()
	orphan.fails("uploading")
	start(t, "bench-run", "--to", address, "ping").fails("dial")
}

func TestPercentilesAreInMicroseconds(t *testing.T) {
	durations := make([]time.Duration, 0, 200)
	for index := 199; index >= 0; index-- {
		durations = append(durations, time.Duration(index)*time.Microsecond)
	}
	got := percentiles(durations)
	if got["p50_us"] != 100.0 || got["p99_us"] != 198.0 || got["max_us"] != 199.0 || got["count"] != 200 {
		t.Errorf("%v", got)
	}
}
