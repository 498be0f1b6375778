package sightline

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	commonv1 "sightline/common/v1"
	gatewayv1 "sightline/gateway/v1"
)

// gateway answers from a list of errors, one for each attempt, and then well. It keeps what it heard.
type gateway struct {
	gatewayv1.UnimplementedRecommendationServiceServer
	gatewayv1.UnimplementedCatalogServiceServer
	gatewayv1.UnimplementedUserEventServiceServer
	commonv1.UnimplementedJobServiceServer

	lock     sync.Mutex
	fail     []error
	catalogs []string
	tokens   []string
	left     time.Duration
}

func (g *gateway) hear(ctx context.Context, catalog string) error {
	g.lock.Lock()
	defer g.lock.Unlock()
	g.catalogs = append(g.catalogs, catalog)
	given, _ := metadata.FromIncomingContext(ctx)
	g.tokens = append(g.tokens, strings.Join(given.Get("authorization"), ","))
	if until, limited := ctx.Deadline(); limited {
		g.left = time.Until(until)
	}
	if len(g.fail) == 0 {
		return nil
	}
	err := g.fail[0]
	g.fail = g.fail[1:]
	return err
}

func (g *gateway) Recommend(ctx context.Context, r *gatewayv1.RecommendRequest) (*gatewayv1.RecommendResponse, error) {
	return &gatewayv1.RecommendResponse{AttributionToken: "t"}, g.hear(ctx, r.GetCatalogId())
}

func (g *gateway) UpsertProducts(
	ctx context.Context, r *gatewayv1.UpsertProductsRequest,
) (*gatewayv1.UpsertProductsResponse, error) {
	return &gatewayv1.UpsertProductsResponse{}, g.hear(ctx, r.GetCatalogId())
}

func (g *gateway) WatchJob(r *commonv1.WatchJobRequest, stream commonv1.JobService_WatchJobServer) error {
	if err := stream.Send(&commonv1.Job{}); err != nil {
		return err
	}
	return g.hear(stream.Context(), "")
}

func serve(t *testing.T, fake *gateway, options ...Option) *Client {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	gatewayv1.RegisterRecommendationServiceServer(server, fake)
	gatewayv1.RegisterCatalogServiceServer(server, fake)
	commonv1.RegisterJobServiceServer(server, fake)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	client, err := New(listener.Addr().String(), append([]Option{WithPlaintext()}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func TestACallHasCatalogKeyAndDeadline(t *testing.T) {
	fake := &gateway{}
	client := serve(t, fake, WithKey("slk_a"), WithCatalog("shoes"), WithTimeout(time.Minute))
	request := &gatewayv1.RecommendRequest{Signals: []*gatewayv1.QuerySignal{Text("red")}}
	for _, catalog := range []string{"", "hats"} {
		request.CatalogId = catalog
		if _, err := client.Recommendations.Recommend(context.Background(), request); err != nil {
			t.Fatal(err)
		}
	}
	if got := strings.Join(fake.catalogs, " "); got != "shoes hats" {
		t.Errorf("catalogs: %s", got)
	}
	if got := strings.Join(fake.tokens, " "); got != "Bearer slk_a Bearer slk_a" {
		t.Errorf("tokens: %s", got)
	}
	if fake.left <= 0 || fake.left > time.Minute {
		t.Errorf("deadline: %s", fake.left)
	}
	request.CatalogId = ""
	if _, err := client.Recommendations.Recommend(context.Background(), request); err != nil || request.CatalogId != "" {
		t.Errorf("the caller's request has changed: %v, %v", request, err)
	}
}

func TestARequestWithinARequestHasTheCatalogToo(t *testing.T) {
	request := &gatewayv1.RecommendValuesRequest{Request: &gatewayv1.RecommendRequest{}}
	sent, _ := withCatalog(request, "shoes").(*gatewayv1.RecommendValuesRequest)
	if got := sent.GetRequest().GetCatalogId(); got != "shoes" {
		t.Errorf("the request within names %q", got)
	}
	if request.GetRequest().GetCatalogId() != "" {
		t.Error("the caller's request has changed")
	}
}

func TestAPassingFailureIsRetriedUnlessAProductHasAnEtag(t *testing.T) {
	down := status.Error(codes.Unavailable, "shutting down")
	fake := &gateway{fail: []error{down, down}}
	client := serve(t, fake)
	request := &gatewayv1.UpsertProductsRequest{Products: []*commonv1.Product{{ProductId: "p1"}}}
	if _, err := client.Catalog.UpsertProducts(context.Background(), request); err != nil {
		t.Fatal(err)
	}
	if len(fake.catalogs) != 3 {
		t.Errorf("attempts: %d", len(fake.catalogs))
	}
	fake.fail = []error{down}
	request.Products[0].Etag = "7"
	_, err := client.Catalog.UpsertProducts(context.Background(), request)
	if status.Code(err) != codes.Unavailable || len(fake.catalogs) != 4 {
		t.Errorf("%d attempts: %v", len(fake.catalogs), err)
	}
}

func TestAnErrorHasReasonFieldsAndDelay(t *testing.T) {
	refused, err := status.New(codes.ResourceExhausted, "too many").WithDetails(
		&errdetails.ErrorInfo{Reason: "QUOTA_EXHAUSTED", Domain: "sightline", Metadata: map[string]string{"quota": "calls"}},
		&errdetails.RetryInfo{RetryDelay: durationpb.New(1500 * time.Millisecond)},
		&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
			{Field: "page_size", Description: "must be 1 to 200"},
		}},
	)
	if err != nil {
		t.Fatal(err)
	}
	client := serve(t, &gateway{fail: []error{refused.Err()}})
	_, err = client.Recommendations.Recommend(context.Background(), &gatewayv1.RecommendRequest{})
	var failed *Error
	if !errors.As(err, &failed) {
		t.Fatalf("no *Error: %v", err)
	}
	if failed.Code != codes.ResourceExhausted || Reason(err) != "QUOTA_EXHAUSTED" || failed.Metadata["quota"] != "calls" {
		t.Errorf("%#v", failed)
	}
	if failed.RetryAfter != 1500*time.Millisecond || failed.Fields[0] != (FieldViolation{"page_size", "must be 1 to 200"}) {
		t.Errorf("%#v", failed)
	}
	if failed.WhatToDo() == "" {
		t.Error("nothing to do")
	}
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("gRPC reads another code: %v", status.Code(err))
	}
}

func TestAStreamIsTypedAndEnds(t *testing.T) {
	client := serve(t, &gateway{fail: []error{nil, status.Error(codes.NotFound, "no such job")}}, WithKey("slk_a"))
	for _, code := range []codes.Code{codes.OK, codes.NotFound} {
		stream, err := client.Jobs.WatchJob(context.Background(), &commonv1.WatchJobRequest{JobId: "j"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err = stream.Recv(); err != nil {
			t.Fatal(err)
		}
		_, err = stream.Recv()
		var failed *Error
		if code == codes.OK && !errors.Is(err, io.EOF) {
			t.Errorf("no end: %v", err)
		}
		if code != codes.OK && (!errors.As(err, &failed) || failed.Code != code) {
			t.Errorf("no *Error: %v", err)
		}
	}
}

func TestNoGatewayIsAReasonToo(t *testing.T) {
	client, err := New("127.0.0.1:1", WithPlaintext(), WithTimeout(5*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	_, err = client.Recommendations.Recommend(context.Background(), &gatewayv1.RecommendRequest{})
	if Reason(err) != GatewayUnreachable {
		t.Errorf("%v", err)
	}
}

func TestAnItemOfABatchHasAnErrorOfItsOwn(t *testing.T) {
	if err := ItemError(nil); err != nil {
		t.Error(err)
	}
	if err := ItemError(status.New(codes.Aborted, "changed").Proto()); status.Code(err) != codes.Aborted {
		t.Error(err)
	}
}

func TestAKeyThatNoHeaderHoldsIsNotInTheError(t *testing.T) {
	client := serve(t, &gateway{}, WithKey("slk secret"))
	_, err := client.Recommendations.Recommend(context.Background(), &gatewayv1.RecommendRequest{})
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
}

func TestTLSIsTheDefault(t *testing.T) {
	for _, options := range [][]Option{nil, {WithTLS(&tls.Config{MinVersion: tls.VersionTLS13})}} {
		client, err := New("reco.shop.example:8600", options...)
		if err != nil {
			t.Fatal(err)
		}
		_ = client.Close()
	}
	if _, err := New("a:1", WithTimeout(-1)); err == nil {
		t.Error("a negative timeout is accepted")
	}
}
