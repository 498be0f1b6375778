// Recommends products by a photo, writes a click on the first of them, and handles two errors.
// Usage: go run . HOST:PORT PHOTO
package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log"
	"os"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	commonv1 "sightline/common/v1"
	gatewayv1 "sightline/gateway/v1"
)

// patience is the deadline: long, for a busy laptop; a shopper's page should wait 1 or 2 s.
const patience = 20 * time.Second

// reason returns an error's reason (docs/integrate/errors.md); "" if no service of Sightline raised the error.
func reason(err error) string {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}

// newID returns a random event id: events with the same id count once.
func newID() string {
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		log.Fatal(err)
	}
	return hex.EncodeToString(id)
}

// recommend calls with a deadline. The service answers within it; Degradations name what is missing.
func recommend(
	channel *grpc.ClientConn, request *gatewayv1.RecommendRequest, within time.Duration,
) (*gatewayv1.RecommendResponse, error) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	return gatewayv1.NewRecommendationServiceClient(channel).Recommend(ctx, request)
}

// write sends one event; it is durable when this returns without an error.
func write(channel *grpc.ClientConn, event *commonv1.Event) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	request := &gatewayv1.WriteEventsRequest{Events: []*commonv1.Event{event}}
	written, err := gatewayv1.NewUserEventServiceClient(channel).WriteEvents(ctx, request)
	if err != nil {
		return err
	}
	for _, each := range written.Statuses {
		if each.Code != 0 {
			fmt.Println("not kept:", each.Message)
		}
	}
	fmt.Println("written:", written.WrittenCount)
	return nil
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: go run . HOST:PORT PHOTO")
	}
	target, path := os.Args[1], os.Args[2]
	// In production: grpc.WithTransportCredentials(credentials.NewTLS(nil)).
	channel, err := grpc.NewClient(target, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer channel.Close()
	photo, err := os.ReadFile(path)
	if err != nil {
		log.Fatal(err)
	}

	visitor := &commonv1.Shopper{
		Identity: &commonv1.Shopper_VisitorId{VisitorId: "visitor-of-go"},
	}
	request := &gatewayv1.RecommendRequest{
		Signals: []*gatewayv1.QuerySignal{
			{Content: &gatewayv1.QuerySignal_Image{Image: photo}},
		},
		Shopper:  visitor,
		PageSize: 5,
	}
	answer, err := recommend(channel, request, patience)
	if err != nil {
		log.Fatal(reason(err), " ", err)
	}
	for _, each := range answer.Results {
		fmt.Printf("%d. %s %s\n", each.Rank, each.Product.ProductId, each.Product.Title)
	}
	for _, lost := range answer.Degradations {
		fmt.Println("degraded:", lost.Cause)
	}

	click := &commonv1.Event{
		EventId:          newID(),
		Shopper:          visitor,
		Type:             commonv1.EventType_EVENT_TYPE_CLICK,
		ProductId:        answer.Results[0].Product.ProductId,
		Position:         1,
		AttributionToken: answer.AttributionToken,
	}
	if err := write(channel, click); err != nil {
		log.Fatal(reason(err), " ", err)
	}

	// A deadline of 0 is exceeded at once. With a short deadline, the answer may instead be degraded.
	_, err = recommend(channel, request, 0)
	late := status.Convert(err)
	request.PageSize = 1000
	_, err = recommend(channel, request, patience)
	refused := status.Convert(err)
	fmt.Printf("refused: %s %s: %s\n", refused.Code(), reason(err), refused.Message())
	fmt.Println("too late:", late.Code())
}
