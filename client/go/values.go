package sightline

import (
	commonv1 "sightline/common/v1"
	gatewayv1 "sightline/gateway/v1"
)

type (
	product       = commonv1.Product
	productUpdate = gatewayv1.ProductUpdate
)

// Photo returns a signal: products that look like a photo. See the contract for formats and sizes.
func Photo(file []byte) *gatewayv1.QuerySignal {
	return &gatewayv1.QuerySignal{Content: &gatewayv1.QuerySignal_Image{Image: file}}
}

// Text returns a signal: products that fit a text.
func Text(text string) *gatewayv1.QuerySignal {
	return &gatewayv1.QuerySignal{Content: &gatewayv1.QuerySignal_Text{Text: text}}
}

// Product returns a signal: products that are like a product of the catalog.
func Product(id string) *gatewayv1.QuerySignal {
	return &gatewayv1.QuerySignal{Content: &gatewayv1.QuerySignal_ProductId{ProductId: id}}
}

// User returns a shopper that is logged in.
func User(id string) *commonv1.Shopper {
	return &commonv1.Shopper{Identity: &commonv1.Shopper_UserId{UserId: id}}
}

// Visitor returns a shopper that is known by a cookie alone.
func Visitor(id string) *commonv1.Shopper {
	return &commonv1.Shopper{Identity: &commonv1.Shopper_VisitorId{VisitorId: id}}
}

// Filter returns a filter as text, such as "price < 30 EUR".
func Filter(text string) *commonv1.Filter {
	return &commonv1.Filter{Expression: &commonv1.Filter_Text{Text: text}}
}
