// Recommends products by a photo, says that the first was clicked, and meets two errors.
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
	"google.golang.org/grpc/status"

	commonv1 "sightline/common/v1"
	gatewayv1 "sightline/gateway/v1"
)

// patience is the deadline: what a shopper's page can wait is 1 or 2 s; a laptop may be busy.
const patience = 20 * time.Second

// reason is what to decide by (docs/integrate/errors.md); "" when the error is of no service of Sightline's.
func reason(err error) string {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}

// newID names an event: sent again with the same id, it counts once.
func newID() string {
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		log.Fatal(err)
	}
	return hex.EncodeToString(id)
}

// recommend asks with a deadline: what it costs is said in Degradations, and it is kept.
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
	channel, err := grpc.Dial(target, grpc.WithInsecure())
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

	// Time is up at once; a call whose time is short may also get an answer of what there was time for.
	_, err = recommend(channel, request, 0)
	late := status.Convert(err)
	request.PageSize = 1000
	_, err = recommend(channel, request, patience)
	refused := status.Convert(err)
	fmt.Printf("refused: %s %s: %s\n", refused.Code(), reason(err), refused.Message())
	fmt.Println("too late:", late.Code())
}
