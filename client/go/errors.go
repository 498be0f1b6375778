package sightline

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// GatewayUnreachable is the reason of calls that no gateway answered.
const GatewayUnreachable = "GATEWAY_UNREACHABLE"

// FieldViolation is the error of one field of a request.
type FieldViolation struct {
	// Field is the path of the field, such as "filter.all.filters[1].comparison.field".
	Field string
	// Description says what is wrong and what would be right.
	Description string
}

// Error is a failed call, or a failed item of a batch. status.Code and status.Convert work on it too.
type Error struct {
	Code    codes.Code
	Message string
	// Reason is machine-readable, such as "IMAGE_UNDECODABLE"; "" if the server gave none. Decide by it.
	Reason string
	// Fields are the invalid fields of the request.
	Fields []FieldViolation
	// RetryAfter is the delay before a retry; 0 if the server named none.
	RetryAfter time.Duration
	// Metadata has further facts by name.
	Metadata map[string]string

	status *status.Status
}

// Error returns the code, the reason and the message.
func (e *Error) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("sightline: %s: %s", e.Code, e.Message)
	}
	return fmt.Sprintf("sightline: %s %s: %s", e.Code, e.Reason, e.Message)
}

// GRPCStatus returns the status that the server sent.
func (e *Error) GRPCStatus() *status.Status { return e.status }

//go:embed advice.json
var adviceFile []byte

var advice = sync.OnceValue(func() map[string]string {
	found := map[string]string{}
	if err := json.Unmarshal(adviceFile, &found); err != nil {
		panic(err) // of a file of this package
	}
	found[GatewayUnreachable] = "check the address, that the gateway runs, and that both sides use TLS or neither does"
	return found
})

// WhatToDo says what to do about the reason, in English; "" if nothing is known.
func (e *Error) WhatToDo() string { return advice()[e.Reason] }

// Reason returns the reason of a failed call or item; "" if the error has none.
func Reason(err error) string {
	var failed *Error
	if errors.As(err, &failed) {
		return failed.Reason
	}
	return ""
}

// ItemError returns the error of one item of a batch, an *Error; nil if the item succeeded.
func ItemError(item *rpcstatus.Status) error {
	if item.GetCode() == int32(codes.OK) {
		return nil
	}
	return fromStatus(status.FromProto(item))
}

// typed returns what gRPC returned as an *Error; the end of a stream stays io.EOF.
func typed(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	failed := fromStatus(status.Convert(err))
	if failed.Code == codes.Unavailable && failed.Reason == "" {
		failed.Reason = GatewayUnreachable
	}
	return failed
}

// fromStatus reads the details of google.rpc. Those that can't be read are omitted.
func fromStatus(given *status.Status) *Error {
	failed := &Error{Code: given.Code(), Message: given.Message(), status: given}
	for _, detail := range given.Details() {
		switch each := detail.(type) {
		case *errdetails.ErrorInfo:
			failed.Reason, failed.Metadata = each.GetReason(), each.GetMetadata()
		case *errdetails.BadRequest:
			for _, field := range each.GetFieldViolations() {
				failed.Fields = append(failed.Fields, FieldViolation{field.GetField(), field.GetDescription()})
			}
		case *errdetails.RetryInfo:
			failed.RetryAfter = each.GetRetryDelay().AsDuration()
		}
	}
	return failed
}
