// Package sightline calls the gateway of a Sightline suite over gRPC. It adds to the generated code a connection with
// deadlines, retries and the caller's key, and errors with their reasons.
package sightline

import (
	"context"
	"crypto/tls"
	"errors"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	commonv1 "sightline/common/v1"
	gatewayv1 "sightline/gateway/v1"
)

const (
	defaultCatalog = "default"
	defaultTimeout = 10 * time.Second
)

// Client has the calls of the gateway. It is safe for concurrent use: create one and keep it.
// Failed calls return an *Error.
type Client struct {
	Recommendations gatewayv1.RecommendationServiceClient
	Catalog         gatewayv1.CatalogServiceClient
	Events          gatewayv1.UserEventServiceClient
	Jobs            commonv1.JobServiceClient

	conn *connection
}

type settings struct {
	credentials credentials.TransportCredentials
	key         func(context.Context) (string, error)
	catalog     string
	timeout     time.Duration
}

// Option is a setting of a Client.
type Option func(*settings)

// WithKey sends a token that identifies the caller with every call. Default: none is sent.
func WithKey(token string) Option {
	return WithKeyFunc(func(context.Context) (string, error) { return token, nil })
}

// WithKeyFunc sends the token that the function returns, which is called before each call.
func WithKeyFunc(token func(context.Context) (string, error)) Option {
	return func(s *settings) { s.key = token }
}

// WithCatalog sets the catalog of requests that name none. Default: "default".
func WithCatalog(id string) Option {
	return func(s *settings) { s.catalog = id }
}

// WithTimeout sets the deadline of calls whose context has none, with all their attempts; 0: no deadline. Streams have
// none by default. Default: 10 seconds.
func WithTimeout(limit time.Duration) Option {
	return func(s *settings) { s.timeout = limit }
}

// WithTLS sets certificates. Default: the system's authorities are trusted.
func WithTLS(config *tls.Config) Option {
	return func(s *settings) { s.credentials = credentials.NewTLS(config) }
}

// WithPlaintext turns TLS off, for a gateway on the same machine.
func WithPlaintext() Option {
	return func(s *settings) { s.credentials = insecure.NewCredentials() }
}

// New returns a client of the gateway at an address such as "reco.shop.example:8600". It opens no connection before the
// first call.
func New(address string, options ...Option) (*Client, error) {
	set := settings{credentials: credentials.NewTLS(nil), catalog: defaultCatalog, timeout: defaultTimeout}
	for _, option := range options {
		option(&set)
	}
	if set.timeout < 0 {
		return nil, errors.New("sightline: the timeout must be 0 or more")
	}
	conn, err := connect(address, set)
	if err != nil {
		return nil, err
	}
	return &Client{
		Recommendations: gatewayv1.NewRecommendationServiceClient(conn),
		Catalog:         gatewayv1.NewCatalogServiceClient(conn),
		Events:          gatewayv1.NewUserEventServiceClient(conn),
		Jobs:            commonv1.NewJobServiceClient(conn),
		conn:            conn,
	}, nil
}

// Conn returns the connection, for the other services: gatewayv1.NewAdminServiceClient(client.Conn()).
func (c *Client) Conn() grpc.ClientConnInterface { return c.conn }

// Close closes the connection. Calls in progress fail.
func (c *Client) Close() error { return c.conn.close() }
