package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	manet "github.com/multiformats/go-multiaddr/net"
)

// buffers are shared by the streams, so that a short one does not pay for a large buffer.
var buffers = sync.Pool{New: func() any {
	buffer := make([]byte, bulkBuffer)
	return &buffer
}}

// serve answers the protocols of the benchmark until stdin ends. Ping is the library's.
func serve(listen string) error {
	socket, err := net.ResolveTCPAddr("tcp", listen)
	if err != nil {
		return fmt.Errorf("--listen %s: %w", listen, err)
	}
	address, err := manet.FromNetAddr(socket)
	if err != nil {
		return fmt.Errorf("--listen %s: %w", listen, err)
	}
	local, err := newHost(libp2p.ListenAddrs(address))
	if err != nil {
		return fmt.Errorf("starting a host: %w", err)
	}
	local.SetStreamHandler(perfProtocol, handler(answerPerf))
	local.SetStreamHandler(echoProtocol, handler(answerEcho))
	for _, bound := range local.Network().ListenAddresses() {
		line := fields{"address": fmt.Sprintf("%s/p2p/%s", bound, local.ID())}
		if err := tell("listening", line); err != nil {
			return err
		}
	}
	return untilInputEnds()
}

// handler lends a buffer to every stream. One that fails is reset: its client tells of it.
func handler(answer func(stream network.Stream, buffer []byte) error) network.StreamHandler {
	return func(stream network.Stream) {
		buffer := buffers.Get().(*[]byte)
		defer buffers.Put(buffer)
		if err := answer(stream, *buffer); err != nil {
			_ = stream.Reset()
			return
		}
		_ = stream.Close()
	}
}

// answerPerf reads how much to send, then all that comes, and sends that much.
func answerPerf(stream network.Stream, buffer []byte) error {
	var wanted [8]byte
	if _, err := io.ReadFull(stream, wanted[:]); err != nil {
		return err
	}
	if _, err := discard(stream, buffer, nil); err != nil {
		return err
	}
	return send(stream, buffer, binary.BigEndian.Uint64(wanted[:]), nil)
}

// answerEcho gives back what comes, as it comes.
func answerEcho(stream network.Stream, buffer []byte) error {
	for {
		length, err := stream.Read(buffer)
		if length > 0 {
			if _, err := stream.Write(buffer[:length]); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
