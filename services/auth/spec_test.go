package auth_test

import (
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"github.com/holdfast-games/holdfast/proto/openapi"
)

// spec is the OpenAPI document that every answer is held to. It remembers
// which answers it has seen.
type spec struct {
	router routers.Router
	doc    *openapi3.T

	mu   sync.Mutex
	seen map[string]bool // "operation status"
}

func loadSpec(tb testing.TB) *spec {
	tb.Helper()
	loader := openapi3.NewLoader()
	loader.IsExternalRefsAllowed = true
	loader.ReadFromURIFunc = func(_ *openapi3.Loader, uri *url.URL) ([]byte, error) {
		return openapi.Read(path.Base(uri.Path))
	}
	doc, err := loader.LoadFromURI(&url.URL{Path: "auth.yaml"})
	if err != nil {
		tb.Fatalf("load auth.yaml: %v", err)
	}
	router, err := legacy.NewRouter(doc)
	if err != nil {
		tb.Fatalf("route auth.yaml: %v", err)
	}
	return &spec{router: router, doc: doc, seen: map[string]bool{}}
}

// validate fails the test when an answer is not documented as it is. Paths
// outside the document are nobody's business.
func (s *spec) validate(tb testing.TB, r *http.Request, a answer) {
	tb.Helper()
	asked := r.Clone(r.Context())
	asked.URL = &url.URL{Path: r.URL.Path}
	route, params, err := s.router.FindRoute(asked)
	if err != nil {
		return
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: asked, PathParams: params, Route: route},
		Status:                 a.status,
		Header:                 a.header,
		Options:                &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	}
	input.SetBodyBytes(a.body)
	if err := openapi3filter.ValidateResponse(tb.Context(), input); err != nil {
		tb.Errorf("%s: the answer %d is not as documented: %v\n%s", a.call, a.status, err, a.body)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen[route.Operation.OperationID+" "+strconv.Itoa(a.status)] = true
}

// complete fails the test unless every documented answer was seen, but for the
// statuses given.
func (s *spec) complete(tb testing.TB, except ...int) {
	tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, item := range s.doc.Paths.Map() {
		for _, operation := range item.Operations() {
			for status := range operation.Responses.Map() {
				n, err := strconv.Atoi(status)
				if err != nil || !slices.Contains(except, n) && !s.seen[operation.OperationID+" "+status] {
					tb.Errorf("%s never answered %s", operation.OperationID, status)
				}
			}
		}
	}
}
