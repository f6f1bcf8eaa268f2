package standalone

import (
	"net/http"

	"github.com/holdfast-games/holdfast/pkg/apperr"
	"github.com/holdfast-games/holdfast/pkg/httpkit"
	"github.com/holdfast-games/holdfast/pkg/service"
	"github.com/holdfast-games/holdfast/proto/wire"
)

// publicMux routes like the gateway: what is not named here is not there.
func publicMux(services map[string]*service.Service) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/api/auth/", services["auth"].Public)
	mux.Handle("/.well-known/jwks.json", services["auth"].Public)
	mux.Handle("/api/session", services["session"].Public)
	mux.Handle("/api/session/", services["session"].Public)
	mux.Handle("/api/matchmaking/", services["matchmaking"].Public)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		httpkit.WriteProblem(w, apperr.New(apperr.NotFound, string(wire.CodeNotFound), "there is nothing at this path"))
	})
	return mux
}
