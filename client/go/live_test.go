package sightline_test

import (
	"context"
	"os"
	"testing"

	"sightline"
	commonv1 "sightline/common/v1"
	gatewayv1 "sightline/gateway/v1"
)

// TestLive calls a suite with products.
func TestLive(t *testing.T) {
	target, path := os.Getenv("SIGHTLINE_TARGET"), os.Getenv("SIGHTLINE_PHOTO")
	if target == "" || path == "" {
		t.Skip("NOT MEASURED: SIGHTLINE_TARGET and SIGHTLINE_PHOTO name no gateway and no photo")
	}
	client, err := sightline.New(target, sightline.WithPlaintext())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	photo, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	visitor := sightline.Visitor("visitor-of-the-go-client")
	request := &gatewayv1.RecommendRequest{
		Signals: []*gatewayv1.QuerySignal{sightline.Photo(photo)}, Shopper: visitor, PageSize: 5,
	}
	answer, err := client.Recommendations.Recommend(context.Background(), request)
	if err != nil {
		t.Fatal(err)
	}
	if len(answer.GetResults()) != 5 {
		t.Fatalf("%d results", len(answer.GetResults()))
	}
	first := answer.GetResults()[0].GetProduct().GetProductId()
	t.Logf("first: %s", first)
	written, err := client.Events.WriteEvents(context.Background(), &gatewayv1.WriteEventsRequest{
		Events: []*commonv1.Event{{
			EventId: "go-client-" + first, Shopper: visitor, Type: commonv1.EventType_EVENT_TYPE_CLICK,
			ProductId: first, Position: 1, AttributionToken: answer.GetAttributionToken(),
		}},
	})
	if err != nil || len(written.GetStatuses()) != 1 || sightline.ItemError(written.GetStatuses()[0]) != nil {
		t.Errorf("%v, %v", written, err)
	}
	request.PageSize = 1000
	_, err = client.Recommendations.Recommend(context.Background(), request)
	if sightline.Reason(err) != "PAGE_SIZE_INVALID" {
		t.Errorf("%v", err)
	}
}
