package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
)

const (
	// perfProtocol moves as many bytes as the client says, either way.
	perfProtocol protocol.ID = "/perf/1.0.0"
	// echoProtocol gives back what it reads.
	echoProtocol protocol.ID = "/bench/echo/1.0.0"
)

// newHost starts a host with an identity of its own: TCP, Noise, Yamux, identify and ping. What would meter, limit or
// trim is off; windows and buffers are the library's own.
func newHost(listen libp2p.Option) (host.Host, error) {
	return libp2p.New(
		listen,
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Security(noise.ID, noise.New),
		libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		libp2p.ResourceManager(&network.NullResourceManager{}),
		libp2p.ConnectionManager(connmgr.NullConnMgr{}),
		libp2p.DisableRelay(),
		libp2p.DisableMetrics(),
		// With the answer given, AutoNAT has nothing to ask.
		libp2p.ForceReachabilityPublic(),
	)
}

// client is a host and the server that it talks to.
type client struct {
	host   host.Host
	server peer.AddrInfo
}

// newClient starts a host that has not dialed yet.
func newClient(to string) (*client, error) {
	server, err := peer.AddrInfoFromString(to)
	if err != nil {
		return nil, fmt.Errorf("the address %s: %w", to, err)
	}
	local, err := newHost(libp2p.NoListenAddrs)
	if err != nil {
		return nil, fmt.Errorf("starting a host: %w", err)
	}
	return &client{host: local, server: *server}, nil
}

// warmClient starts a host that has dialed and identified the server.
func warmClient(to string) (*client, error) {
	warm, err := newClient(to)
	if err != nil {
		return nil, err
	}
	if err := warm.connect(); err != nil {
		return nil, err
	}
	// A failed identify is no error of the dial, but then every stream would cost a round trip more.
	known, err := warm.host.Peerstore().GetProtocols(warm.server.ID)
	if err != nil {
		return nil, err
	}
	if len(known) == 0 {
		return nil, errors.New("the server did not say which protocols it has")
	}
	return warm, nil
}

// connect dials, and returns when identify is done.
func (c *client) connect() error {
	return c.host.Connect(context.Background(), c.server)
}

// open opens a stream on the connection that there is.
func (c *client) open(id protocol.ID) (network.Stream, error) {
	stream, err := c.host.NewStream(network.WithNoDial(context.Background(), "connected"), c.server.ID, id)
	if err != nil {
		return nil, fmt.Errorf("opening a %s stream: %w", id, err)
	}
	return stream, nil
}
