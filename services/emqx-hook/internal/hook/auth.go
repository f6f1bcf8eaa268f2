package hook

import (
	"context"
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

// denied is the answer wherever nothing else was proved.
func denied() api.AuthenticateAnswer { return api.AuthenticateAnswer{Result: api.ResultDeny} }

// Authenticate implements api.ServerInterface. It always answers 200.
func (h *Hook) Authenticate(c echo.Context) error {
	ctx, cancel := context.WithTimeout(c.Request().Context(), budget)
	defer cancel()
	var request api.AuthenticateRequest
	allowed, err := guard(func() (api.AuthenticateAnswer, error) {
		var err error
		if request, err = httpkit.Decode[api.AuthenticateRequest](c); err != nil {
			return denied(), err
		}
		return h.authenticate(ctx, request)
	})
	if err != nil {
		h.deny(ctx, callAuth, request.Clientid, err)
		return httpkit.JSON(c, 200, denied())
	}
	result := "allow"
	if allowed.IsSuperuser != nil && *allowed.IsSuperuser {
		result = "superuser"
	}
	h.metrics.decisions.WithLabelValues(callAuth, result).Inc()
	return httpkit.JSON(c, 200, allowed)
}

// authenticate allows our own publisher, and a player who shows its own
// token. Any error is a denial.
func (h *Hook) authenticate(ctx context.Context, r api.AuthenticateRequest) (api.AuthenticateAnswer, error) {
	if h.isPublisher(r) {
		return api.AuthenticateAnswer{Result: api.ResultAllow, IsSuperuser: new(true)}, nil
	}
	claims, err := h.config.Tokens.Verify(r.Password)
	if err != nil {
		return denied(), err
	}
	if r.Clientid != claims.Player || (r.Username != "" && r.Username != claims.Player) {
		return denied(), errForeignClient
	}
	_, epoch, err := h.config.Sessions.Begin(ctx, session.ClaimsFrom(claims))
	if err != nil {
		return denied(), err
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
	_, err := guard(func() (struct{}, error) {
		var err error
		if request, err = httpkit.Decode[api.AuthorizeRequest](c); err != nil {
			return struct{}{}, err
		}
		if request.Action != "subscribe" || !maySubscribe(request.Clientid, request.Topic) {
			return struct{}{}, errNoAccess
		}
		return struct{}{}, nil
	})
	if err != nil {
		h.deny(c.Request().Context(), callAuthz, request.Clientid, err)
		return httpkit.JSON(c, 200, api.AuthorizeAnswer{Result: api.ResultDeny})
	}
	h.metrics.decisions.WithLabelValues(callAuthz, "allow").Inc()
	return httpkit.JSON(c, 200, api.AuthorizeAnswer{Result: api.ResultAllow})
}

// deny counts a denial, and says why where somebody should know: at the level
// of an error when it was our fault.
func (h *Hook) deny(ctx context.Context, call, client string, err error) {
	h.metrics.decisions.WithLabelValues(call, "deny").Inc()
	if answerFor(err).ours {
		h.failed(ctx, call, client, err)
		return
	}
	h.config.Log.DebugContext(ctx, "denied", "call", call, "client", client, "error", err)
}
