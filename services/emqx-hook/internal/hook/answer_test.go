package hook

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/holdfast-games/holdfast/pkg/apperr"
	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/services/emqx-hook/internal/api"
)

func quiet() *slog.Logger            { return slog.New(slog.DiscardHandler) }
func registry() *prometheus.Registry { return prometheus.NewRegistry() }

// broken answers every call with one error.
type broken struct{ err error }

func (b broken) Begin(context.Context, session.Claims) (session.Result, int64, error) {
	return session.Result{}, 5, b.err
}

func (b broken) Connected(context.Context, string, session.ConnectionID, string) (session.Result, error) {
	return session.Result{}, b.err
}

func (b broken) Disconnected(context.Context, string, session.ConnectionID, string) (session.Result, error) {
	return session.Result{}, b.err
}

func (b broken) Announce(context.Context, string) (session.Result, error) {
	return session.Result{}, b.err
}

// TestEveryKindHasAnAnswer holds the table and what goes over the wire
// together: a login is denied whatever happened, and an event comes again only
// where that helps.
func TestEveryKindHasAnAnswer(t *testing.T) {
	statuses := map[reception][]int{
		fail: {http.StatusInternalServerError}, accept: {http.StatusNoContent},
		reject: {http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType},
		again:  {http.StatusServiceUnavailable, http.StatusTooManyRequests},
	}
	for _, kind := range apperr.Kinds() {
		want, ok := answers()[kind]
		if !ok {
			t.Errorf("kind %d is not in the table", kind)
		}
		h := New(Config{
			Secret: hookSecret, Tokens: failing{}, Sessions: broken{apperr.New(kind, "made_up", "made up")},
			Log: quiet(), Registry: registry(),
		}).Handler()
		login := decision(t, post(h, "/emqx/auth", []byte(`{"clientid":"ann","username":"ann","password":"x"}`)))
		if login.Result != api.ResultDeny || login.ClientAttrs != nil {
			t.Errorf("kind %d: a login got %+v", kind, login)
		}
		for _, event := range []row{connectedRow("ann", "5"), disconnectedRow("ann", "5", "normal"), subscribedRow("ann", "player/ann/session")} {
			answer := post(h, "/emqx/webhook", encode(t, event))
			if !slices.Contains(statuses[want.event], answer.Code) {
				t.Errorf("kind %d: %s got %d, want one of %v", kind, event["event"], answer.Code, statuses[want.event])
			}
			if comesAgain := answer.Header().Get("Retry-After") != ""; comesAgain != (want.event == again) {
				t.Errorf("kind %d: Retry-After is %q", kind, answer.Header().Get("Retry-After"))
			}
		}
	}
	if len(answers()) != len(apperr.Kinds()) {
		t.Errorf("%d answers for %d kinds", len(answers()), len(apperr.Kinds()))
	}
}

func TestUnclassifiedErrorsAreOurs(t *testing.T) {
	for _, err := range []error{errors.New("any"), apperr.New(apperr.Kind(99), "new", "a kind of tomorrow")} {
		if got := answerFor(err); got != (answer{ours: true, event: fail}) {
			t.Errorf("%v: %+v", err, got)
		}
	}
	if got := answerFor(context.DeadlineExceeded); got != (answer{ours: true, event: again}) {
		t.Errorf("out of time: %+v", got)
	}
}
