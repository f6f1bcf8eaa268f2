package tests

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"github.com/holdfast-games/holdfast/proto"
	"github.com/holdfast-games/holdfast/proto/openapi"
	"github.com/holdfast-games/holdfast/proto/wire"
	"github.com/holdfast-games/holdfast/tests/player"
	"github.com/holdfast-games/holdfast/tests/stack"
)

// TestEverythingIsSaidAsDocumented plays the whole way and holds every answer
// of every service, those to the broker included, to the OpenAPI documents,
// and every message to the AsyncAPI document.
func TestEverythingIsSaidAsDocumented(t *testing.T) {
	c := newContract(t)
	s := houseWith(t, stack.Options{Watch: c.answer})
	playTheWay(t, s, 1, func(int) {})
	p, connection := arrive(t, s, "device-that-errs")
	_, err := p.Queue(within(t, patience), "no-such-queue")
	refused(t, err, http.StatusNotFound)
	_, err = p.Match(within(t, patience), "07.no-such-match")
	refused(t, err, http.StatusNotFound)
	_, err = p.SessionAfter(within(t, patience), 0, time.Hour)
	refused(t, err, http.StatusBadRequest)
	_, err = p.Queue(within(t, patience), "ranked")
	must(t, err)
	must(t, p.LeaveQueues(within(t, patience)))
	_, err = connection.AwaitPush(within(t, patience), wire.MatchmakingQueueCancelled)
	must(t, err)
	must(t, p.EndSession(within(t, patience)))
	<-connection.Gone()
	must(t, p.LogOut(within(t, patience)))
	_, err = p.Session(within(t, patience))
	refused(t, err, http.StatusUnauthorized)
	for _, m := range connection.Messages() {
		c.message(m)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, fault := range c.faults {
		t.Error(fault)
	}
	for _, operation := range []string{
		"loginGuest", "logout", "getSession", "endSession", "enqueue", "leaveAllQueues", "getMatch", "leaveMatch",
		"authenticate", "receiveEvent", "player/{id}/session", "player/{id}/matchmaking",
	} {
		if c.seen[operation] == 0 {
			t.Errorf("nothing was checked of %s: %v", operation, c.seen)
		}
	}
}

func refused(t *testing.T, err error, status int) {
	t.Helper()
	if player.Status(err) != status {
		t.Errorf("got %v, want %d", err, status)
	}
}

// contract holds what is said to the documents, and remembers what is wrong.
type contract struct {
	routers  []routers.Router
	payloads map[string]*jsonschema.Schema // by the last level of the topic

	mu     sync.Mutex
	faults []string
	seen   map[string]int
}

func newContract(t *testing.T) *contract {
	t.Helper()
	c := &contract{seen: map[string]int{}, payloads: map[string]*jsonschema.Schema{}}
	for _, name := range []string{"auth.yaml", "session.yaml", "matchmaking.yaml", "emqx-hook.yaml"} {
		loader := openapi3.NewLoader()
		loader.IsExternalRefsAllowed = true
		loader.ReadFromURIFunc = func(_ *openapi3.Loader, uri *url.URL) ([]byte, error) {
			return openapi.Read(path.Base(uri.Path))
		}
		document, err := loader.LoadFromURI(&url.URL{Path: name})
		must(t, err)
		router, err := legacy.NewRouter(document)
		must(t, err)
		c.routers = append(c.routers, router)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft7)
	compiler.AssertFormat()
	wireDocument, err := openapi.Read("wire.yaml")
	must(t, err)
	must(t, compiler.AddResource("doc:///openapi/wire.yaml", asJSON(t, wireDocument)))
	must(t, compiler.AddResource("doc:///asyncapi.yaml", asJSON(t, proto.AsyncAPI())))
	for level, schema := range map[string]string{"session": "SnapshotPush", "matchmaking": "MatchmakingPush", "notifications": "Notification"} {
		c.payloads[level], err = compiler.Compile("doc:///asyncapi.yaml#/components/schemas/" + schema)
		must(t, err)
	}
	return c
}

func asJSON(t *testing.T, document []byte) any {
	t.Helper()
	var fromYAML any
	must(t, yaml.Unmarshal(document, &fromYAML))
	text, err := json.Marshal(fromYAML)
	must(t, err)
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	must(t, err)
	return parsed
}

func (c *contract) fault(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults = append(c.faults, fmt.Sprintf(format, args...))
}

func (c *contract) saw(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[what]++
}

// answer checks one HTTP answer.
func (c *contract) answer(r *http.Request, status int, header http.Header, body []byte) {
	call := r.Method + " " + r.URL.Path
	if len(body) > 0 && header.Get("Content-Length") != strconv.Itoa(len(body)) {
		c.fault("%s: Content-Length is %q for %d bytes", call, header.Get("Content-Length"), len(body))
	}
	asked := r.Clone(r.Context())
	asked.URL = &url.URL{Path: r.URL.Path}
	for _, router := range c.routers {
		route, params, err := router.FindRoute(asked)
		if err != nil {
			continue
		}
		input := &openapi3filter.ResponseValidationInput{
			RequestValidationInput: &openapi3filter.RequestValidationInput{Request: asked, PathParams: params, Route: route},
			Status:                 status, Header: header,
			Options: &openapi3filter.Options{IncludeResponseStatus: true},
		}
		input.SetBodyBytes(body)
		if err := openapi3filter.ValidateResponse(r.Context(), input); err != nil {
			c.fault("%s: the answer %d is not as documented: %v\n%s", call, status, err, body)
		}
		c.saw(route.Operation.OperationID)
		return
	}
	c.fault("%s is not documented", call)
}

// message checks one MQTT message to a player.
func (c *contract) message(m player.Message) {
	level := m.Topic[strings.LastIndex(m.Topic, "/")+1:]
	payload, err := jsonschema.UnmarshalJSON(bytes.NewReader(m.Payload))
	if err != nil || c.payloads[level] == nil {
		c.fault("%s: %s: %v", m.Topic, m.Payload, err)
		return
	}
	if err := c.payloads[level].Validate(payload); err != nil {
		c.fault("%s: %v\n%s", m.Topic, err, m.Payload)
	}
	c.saw("player/{id}/" + level)
}
