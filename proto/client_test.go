package proto_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"testing"

	"github.com/holdfast-games/holdfast/proto/internal/wiretest"
	"github.com/holdfast-games/holdfast/proto/matchmakingapi"
	"github.com/holdfast-games/holdfast/proto/sessionapi"
	"github.com/holdfast-games/holdfast/proto/wire"
)

// answer serves v with this status and content type to the one request it
// expects.
func answer(t *testing.T, want string, status int, mediaType string, v any) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Method + " " + r.URL.String(); got != want {
			t.Errorf("the client asked %s, want %s", got, want)
		}
		w.Header().Set("Content-Type", mediaType)
		w.WriteHeader(status)
		if err := json.NewEncoder(w).Encode(v); err != nil {
			t.Errorf("answer: %v", err)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestClientReadsTheSnapshot(t *testing.T) {
	t.Parallel()
	want := wiretest.Snapshot()
	url := answer(t, "GET /api/session?version=7&wait=25", http.StatusOK, "application/json", want)
	client, err := sessionapi.NewClientWithResponses(url)
	if err != nil {
		t.Fatal(err)
	}
	got, err := client.GetSessionWithResponse(t.Context(), &sessionapi.GetSessionParams{
		Version: new(int64(7)), Wait: new(int32(25)),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got.JSON200 == nil || !reflect.DeepEqual(*got.JSON200, want) {
		t.Errorf("got %+v, want %+v", got.JSON200, want)
	}
}

func TestClientReadsTheProblem(t *testing.T) {
	t.Parallel()
	want := wiretest.Problem()
	url := answer(t, "POST /api/matchmaking/queue", http.StatusTooManyRequests, wire.ProblemMediaType, want)
	client, err := matchmakingapi.NewClientWithResponses(url)
	if err != nil {
		t.Fatal(err)
	}
	got, err := client.EnqueueWithResponse(t.Context(), nil, matchmakingapi.EnqueueRequest{Queue: "duel"})
	if err != nil {
		t.Fatal(err)
	}
	if got.ApplicationProblemJSON429 == nil || *got.ApplicationProblemJSON429 != want {
		t.Errorf("got %+v, want %+v", got.ApplicationProblemJSON429, want)
	}
}
