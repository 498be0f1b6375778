package sightline

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
)

// maxMessageBytes is the maximum size of a message, in both directions: a request may hold a photo of 10 MiB.
const maxMessageBytes = 32 << 20

// connection sends calls to the gateway. Products with an etag go over a connection without retries: a retry would
// conflict with the first attempt.
type connection struct {
	retrying, once *grpc.ClientConn
	settings       settings
}

func connect(address string, set settings) (*connection, error) {
	retrying, err := dial(address, set, true)
	if err != nil {
		return nil, err
	}
	once, err := dial(address, set, false)
	if err != nil {
		return nil, errors.Join(err, retrying.Close())
	}
	return &connection{retrying: retrying, once: once, settings: set}, nil
}

func dial(address string, set settings, retries bool) (*grpc.ClientConn, error) {
	options := []grpc.DialOption{
		grpc.WithTransportCredentials(set.credentials),
		grpc.WithDisableServiceConfig(),
		grpc.WithDefaultServiceConfig(serviceConfig(retries)),
		// A hung gateway keeps its connections open; it is noticed only by what it does not answer.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 2 * time.Second}),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(maxMessageBytes),
			grpc.MaxCallSendMsgSize(maxMessageBytes),
			// By default messages over 256 KiB, as most photos are, are not retried.
			grpc.MaxRetryRPCBufferSize(maxMessageBytes),
		),
	}
	if set.key != nil {
		options = append(options, grpc.WithPerRPCCredentials(bearer{set.key}))
	}
	return grpc.NewClient(address, options...)
}

// serviceConfig returns gRPC's configuration: balancing over all gateways, and retries of the methods that the contract
// marks as idempotent, within a budget.
func serviceConfig(retries bool) string {
	config := map[string]any{"loadBalancingConfig": []any{map[string]any{"round_robin": map[string]any{}}}}
	if retries {
		config["methodConfig"] = []any{map[string]any{
			"name": idempotent(),
			"retryPolicy": map[string]any{
				"maxAttempts":       5,
				"initialBackoff":    "0.1s",
				"maxBackoff":        "1s",
				"backoffMultiplier": 2,
				// CANCELLED calls arrived while a gateway was shutting down.
				"retryableStatusCodes": []string{"UNAVAILABLE", "CANCELLED"},
			},
		}}
		config["retryThrottling"] = map[string]any{"maxTokens": 400, "tokenRatio": 0.1}
	}
	text, err := json.Marshal(config)
	if err != nil {
		panic(err) // of constants
	}
	return string(text)
}

// idempotent returns the names of the public methods that may be sent again.
func idempotent() []map[string]string {
	var names []map[string]string
	for _, each := range []protoreflect.FullName{"sightline.common.v1", "sightline.gateway.v1"} {
		protoregistry.GlobalFiles.RangeFilesByPackage(each, func(file protoreflect.FileDescriptor) bool {
			for i := range file.Services().Len() {
				service := file.Services().Get(i)
				for j := range service.Methods().Len() {
					method := service.Methods().Get(j)
					options, _ := method.Options().(*descriptorpb.MethodOptions)
					if options.GetIdempotencyLevel() != descriptorpb.MethodOptions_IDEMPOTENCY_UNKNOWN {
						names = append(names, map[string]string{
							"service": string(service.FullName()), "method": string(method.Name()),
						})
					}
				}
			}
			return true
		})
	}
	return names
}

// Invoke makes a call with one request and one response.
func (c *connection) Invoke(ctx context.Context, method string, request, response any, options ...grpc.CallOption) error {
	if _, limited := ctx.Deadline(); !limited && c.settings.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.settings.timeout)
		defer cancel()
	}
	message, _ := request.(proto.Message)
	over := c.retrying
	if message != nil && hasEtag(message) {
		over = c.once
	}
	return typed(over.Invoke(ctx, method, withCatalog(message, c.settings.catalog), response, options...))
}

// NewStream opens a stream.
func (c *connection) NewStream(
	ctx context.Context, description *grpc.StreamDesc, method string, options ...grpc.CallOption,
) (grpc.ClientStream, error) {
	opened, err := c.retrying.NewStream(ctx, description, method, options...)
	if err != nil {
		return nil, typed(err)
	}
	return &stream{opened, c.settings.catalog}, nil
}

func (c *connection) close() error { return errors.Join(c.retrying.Close(), c.once.Close()) }

// stream adds the catalog to requests and types errors.
type stream struct {
	grpc.ClientStream
	catalog string
}

func (s *stream) SendMsg(request any) error {
	message, _ := request.(proto.Message)
	return typed(s.ClientStream.SendMsg(withCatalog(message, s.catalog)))
}

func (s *stream) RecvMsg(response any) error { return typed(s.ClientStream.RecvMsg(response)) }

// withCatalog returns a request with the catalog, unless it, or the request within it, names one. The given message
// stays as it is.
func withCatalog(message proto.Message, catalog string) proto.Message {
	if message == nil {
		return nil
	}
	given := message.ProtoReflect()
	fields := given.Descriptor().Fields()
	copied := given.New()
	given.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		copied.Set(field, value)
		return true
	})
	copied.SetUnknown(given.GetUnknown())
	if field := fields.ByName("catalog_id"); field != nil && given.Get(field).String() == "" {
		copied.Set(field, protoreflect.ValueOfString(catalog))
	}
	if field := fields.ByName("request"); field != nil && field.Message() != nil && given.Has(field) {
		inner := withCatalog(given.Get(field).Message().Interface(), catalog)
		copied.Set(field, protoreflect.ValueOfMessage(inner.ProtoReflect()))
	}
	return copied.Interface()
}

// hasEtag returns whether a product of a request, or of one of its updates, has an etag.
func hasEtag(message proto.Message) bool {
	switch request := message.(type) {
	case interface{ GetProducts() []*product }:
		for _, each := range request.GetProducts() {
			if each.GetEtag() != "" {
				return true
			}
		}
	case interface{ GetUpdates() []*productUpdate }:
		for _, each := range request.GetUpdates() {
			if each.GetProduct().GetEtag() != "" {
				return true
			}
		}
	}
	return false
}

// bearer sends the caller's key with each call. Without TLS too: the gateway then decides.
type bearer struct {
	key func(context.Context) (string, error)
}

var _ credentials.PerRPCCredentials = bearer{}

func (b bearer) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	token, err := b.key(ctx)
	if err != nil {
		return nil, err
	}
	if err := checkToken(token); err != nil {
		return nil, err
	}
	return map[string]string{"authorization": "Bearer " + token}, nil
}

func (b bearer) RequireTransportSecurity() bool { return false }

// checkToken returns an error, without the token in it, unless a header can hold the token.
func checkToken(token string) error {
	if token == "" {
		return errors.New("sightline: the key is empty")
	}
	for _, each := range []byte(token) {
		if each < '!' || each > '~' {
			return errors.New("sightline: the key must be printable ASCII without spaces")
		}
	}
	return nil
}
