package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// fields of a line that the runner reads.
type fields map[string]any

// input is the runner's side: the line that starts a job, and an end that ends the program.
var input = bufio.NewReader(os.Stdin)

// tell prints one object on a line of its own.
func tell(event string, line fields) error {
	object := fields{"event": event}
	for name, value := range line {
		object[name] = value
	}
	text, err := json.Marshal(object)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(append(text, '\n'))
	return err
}

// ready says that a job is prepared, and waits for the line that starts it.
func ready() error {
	if err := tell("ready", nil); err != nil {
		return err
	}
	if _, err := input.ReadString('\n'); errors.Is(err, io.EOF) {
		return errors.New("stdin ended before the job was started")
	} else if err != nil {
		return fmt.Errorf("reading stdin: %w", err)
	}
	return nil
}

// untilInputEnds keeps the program alive as long as the runner wants to look at it.
func untilInputEnds() error {
	if _, err := io.Copy(io.Discard, input); err != nil {
		return fmt.Errorf("reading stdin: %w", err)
	}
	return nil
}
