package hook

import (
	"context"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/holdfast-games/holdfast/pkg/apperr"
	"github.com/holdfast-games/holdfast/pkg/httpkit"
	"github.com/holdfast-games/holdfast/pkg/secret"
	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/proto/wire"
	"github.com/holdfast-games/holdfast/services/emqx-hook/internal/api"
)

// Reasons for a denial that no other package names. EMQX is told nothing but
// "deny"; they are for the log.
var (
	errForeignClient = apperr.New(apperr.Forbidden, string(wire.CodeForbidden), "the client id or username is not the player of the token")
	errNoAccess      = apperr.New(apperr.Forbidden, string(wire.CodeForbidden), "no rule allows it")
)

// Authenticate implements api.ServerInterface. It always answers 200.
func (h *Hook) Authenticate(c echo.Context) error {
	ctx, cancel := context.WithTimeout(c.Request().Context(), budget)
	defer cancel()
	var request api.AuthenticateRequest
	var answer api.AuthenticateAnswer
	err := guard(func() (err error) {
		if request, err = httpkit.Decode[api.AuthenticateRequest](c); err != nil {
			return err
		}
		answer, err = h.authenticate(ctx, request)
		return err
	})
	if err != nil {
		h.deny(ctx, callAuth, request.Clientid, err)
		return httpkit.JSON(c, http.StatusOK, api.AuthenticateAnswer{Result: api.ResultDeny})
	}
	result := "allow"
	if *answer.IsSuperuser {
		result = "superuser"
	}
	h.metrics.decisions.WithLabelValues(callAuth, result).Inc()
	return httpkit.JSON(c, http.StatusOK, answer)
}

// authenticate allows our own publisher, and a player who shows its own
// token. Any error is a denial.
func (h *Hook) authenticate(ctx context.Context, r api.AuthenticateRequest) (api.AuthenticateAnswer, error) {
	if h.isPublisher(r) {
		return api.AuthenticateAnswer{Result: api.ResultAllow, IsSuperuser: new(true)}, nil
	}
	claims, err := h.config.Tokens.Verify(r.Password)
	if err != nil {
		return api.AuthenticateAnswer{}, err
	}
	if r.Clientid != claims.Player || (r.Username != "" && r.Username != claims.Player) {
		return api.AuthenticateAnswer{}, errForeignClient
	}
	_, epoch, err := h.config.Sessions.Begin(ctx, session.ClaimsFrom(claims))
	if err != nil {
		return api.AuthenticateAnswer{}, err
	}
	return api.AuthenticateAnswer{
		Result: api.ResultAllow, IsSuperuser: new(false),
		ClientAttrs: &api.ClientAttrs{Player: claims.Player, Epoch: strconv.FormatInt(epoch, 10)},
		ACL:         staticRules(claims.Player),
	}, nil
}

// isPublisher compares both halves, in constant time, whatever the first says.
func (h *Hook) isPublisher(r api.AuthenticateRequest) bool {
	name := secret.Secret(h.config.PublisherUsername).Equal(r.Username)
	password := h.config.PublisherPassword.Equal(r.Password)
	return name && password
}

// Authorize implements api.ServerInterface. It always answers 200.
func (h *Hook) Authorize(c echo.Context) error {
	var request api.AuthorizeRequest
	err := guard(func() (err error) {
		if request, err = httpkit.Decode[api.AuthorizeRequest](c); err != nil {
			return err
		}
		if request.Action != "subscribe" || !maySubscribe(request.Clientid, request.Topic) {
			return errNoAccess
		}
		return nil
	})
	if err != nil {
		h.deny(c.Request().Context(), callAuthz, request.Clientid, err)
		return httpkit.JSON(c, http.StatusOK, api.AuthorizeAnswer{Result: api.ResultDeny})
	}
	h.metrics.decisions.WithLabelValues(callAuthz, "allow").Inc()
	return httpkit.JSON(c, http.StatusOK, api.AuthorizeAnswer{Result: api.ResultAllow})
}

// deny counts a denial, and says why where somebody should know: at the level
// of an error when it was our fault.
func (h *Hook) deny(ctx context.Context, call, client string, err error) {
	h.metrics.decisions.WithLabelValues(call, "deny").Inc()
	if answerFor(err).ours {
		h.metrics.failures.WithLabelValues(call).Inc()
		h.config.Log.ErrorContext(ctx, "denied through our fault", "call", call, "client", client, "error", err)
		return
	}
	h.config.Log.DebugContext(ctx, "denied", "call", call, "client", client, "error", err)
}
