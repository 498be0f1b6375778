package sightline_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	"sightline"
	gatewayv1 "sightline/gateway/v1"
)

// Recommends products by a photo. SIGHTLINE_TARGET and SIGHTLINE_PHOTO name a gateway and a file.
func Example() {
	client, err := sightline.New(os.Getenv("SIGHTLINE_TARGET"), sightline.WithPlaintext())
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	photo, err := os.ReadFile(os.Getenv("SIGHTLINE_PHOTO"))
	if err != nil {
		log.Fatal(err)
	}
	request := &gatewayv1.RecommendRequest{
		Signals:  []*gatewayv1.QuerySignal{sightline.Photo(photo)},
		Shopper:  sightline.Visitor("cookie-7"),
		PageSize: 5,
	}
	answer, err := client.Recommendations.Recommend(context.Background(), request)
	var failed *sightline.Error
	if errors.As(err, &failed) {
		log.Fatal(failed.Reason, ": ", failed.WhatToDo())
	}
	for _, each := range answer.GetResults() {
		fmt.Println(each.GetRank(), each.GetProduct().GetTitle())
	}
}
