package apperr_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-games/holdfast/pkg/apperr"
)

var errSample = apperr.New(apperr.Conflict, "seat_taken", "this seat is taken")

func TestErrorsOfOneCodeAreTheSame(t *testing.T) {
	withCause := errSample.With(io.ErrUnexpectedEOF).After(time.Minute)
	wrapped := fmt.Errorf("join lobby: %w", withCause)
	if !errors.Is(wrapped, errSample) || !errors.Is(wrapped, io.ErrUnexpectedEOF) {
		t.Errorf("%v is neither itself nor its cause", wrapped)
	}
	if other := apperr.New(apperr.Conflict, "lobby_full", "x"); errors.Is(wrapped, other) || errors.Is(other, io.EOF) {
		t.Error("errors of different codes are the same")
	}
	if errSample.Cause != nil || errSample.RetryAfter != 0 {
		t.Error("With or After changed the original")
	}
	got := apperr.From(wrapped)
	if got.Kind != apperr.Conflict || got.RetryAfter != time.Minute {
		t.Errorf("got %+v", got)
	}
}

func TestPublicTextHidesTheCause(t *testing.T) {
	for _, err := range []error{
		errors.New("dial redis: password hunter2"), apperr.Away("read", errors.New("hunter2")), errSample.With(errors.New("hunter2")),
		fmt.Errorf("doing: %w", context.DeadlineExceeded), nil,
	} {
		e := apperr.From(err)
		if strings.Contains(e.Public, "hunter2") || e.Public == "" || e.Code == "" {
			t.Errorf("%v: the public text is %q with code %q", err, e.Public, e.Code)
		}
		if err != nil && !strings.Contains(e.Error(), err.Error()[len(err.Error())-7:]) {
			t.Errorf("the log would not tell of %v: %v", err, e)
		}
	}
}

func TestFromClassifies(t *testing.T) {
	for _, c := range []struct {
		err  error
		kind apperr.Kind
	}{
		{errors.New("nobody classified it"), apperr.Internal},
		{context.Canceled, apperr.Unavailable},
		{fmt.Errorf("read: %w", context.DeadlineExceeded), apperr.Unavailable},
		{errSample, apperr.Conflict},
		{apperr.Away("read", io.EOF), apperr.Unavailable},
		{fmt.Errorf("more: %w", apperr.Away("read", io.EOF)), apperr.Unavailable},
	} {
		if got := apperr.From(c.err).Kind; got != c.kind {
			t.Errorf("%v: got kind %d, want %d", c.err, got, c.kind)
		}
	}
}

func TestAway(t *testing.T) {
	err := apperr.Away("script session.ensure", io.EOF)
	if !errors.Is(err, io.EOF) || !strings.Contains(err.Error(), "script session.ensure: EOF") {
		t.Errorf("got %v", err)
	}
	if apperr.From(err).RetryAfter <= 0 {
		t.Error("nobody is told when to try again")
	}
	if gone := apperr.Away("read", fmt.Errorf("x: %w", context.Canceled)); !errors.Is(gone, context.Canceled) || apperr.From(gone).Code != "unavailable" {
		t.Errorf("a caller that gave up: %v", gone)
	}
}

func TestKindsAreDistinct(t *testing.T) {
	kinds := apperr.Kinds()
	if kinds[0] != apperr.Internal || apperr.Internal != 0 {
		t.Error("what nobody classified is not our fault")
	}
	slices.Sort(kinds)
	if len(slices.Compact(kinds)) != len(apperr.Kinds()) {
		t.Error("a kind is listed twice")
	}
	for i, k := range apperr.Kinds() { // the list is in order and has no hole
		if int(k) != i {
			t.Errorf("kind %d is at place %d", k, i)
		}
	}
}
