package session_test

import (
	"net/http"
	"net/url"
	"path"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"github.com/holdfast-games/holdfast/proto/openapi"
)

// spec is the OpenAPI document that every answer is held to.
type spec struct{ router routers.Router }

func loadSpec(tb testing.TB) *spec {
	tb.Helper()
	loader := openapi3.NewLoader()
	loader.IsExternalRefsAllowed = true
	loader.ReadFromURIFunc = func(_ *openapi3.Loader, uri *url.URL) ([]byte, error) {
		return openapi.Read(path.Base(uri.Path))
	}
	doc, err := loader.LoadFromURI(&url.URL{Path: "session.yaml"})
	if err != nil {
		tb.Fatalf("load session.yaml: %v", err)
	}
	router, err := legacy.NewRouter(doc)
	if err != nil {
		tb.Fatalf("route session.yaml: %v", err)
	}
	return &spec{router: router}
}

// validate fails the test when an answer is not documented as it is. It
// reports whether the document knows the call at all.
func (s *spec) validate(tb testing.TB, r *http.Request, a answer) bool {
	tb.Helper()
	asked := r.Clone(tb.Context())
	asked.URL = &url.URL{Path: r.URL.Path}
	route, params, err := s.router.FindRoute(asked)
	if err != nil {
		return false
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
	return true
}

// The check itself must be able to fail.
func TestSpecCatchesWhatIsNotDocumented(t *testing.T) {
	s := loadSpec(t)
	judge := func(method, path string, status int, body string) (known, failed bool) {
		r, err := http.NewRequestWithContext(t.Context(), method, "http://holdfast"+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		v := &verdict{TB: t}
		header := http.Header{"Content-Type": {"application/json"}}
		known = s.validate(v, r, answer{status: status, header: header, body: []byte(body)})
		return known, v.failed
	}
	for _, c := range []struct {
		method, path  string
		status        int
		body          string
		known, failed bool
	}{
		{http.MethodGet, "/api/session", http.StatusOK, `{"version":"one"}`, true, true},
		{http.MethodGet, "/api/session", http.StatusNotFound, ``, true, true},
		{http.MethodDelete, "/api/session", http.StatusNoContent, ``, true, false},
		{http.MethodGet, "/livez", http.StatusOK, ``, false, false},
	} {
		if known, failed := judge(c.method, c.path, c.status, c.body); known != c.known || failed != c.failed {
			t.Errorf("%s %s %d: known %v, failed %v; want %v, %v", c.method, c.path, c.status, known, failed, c.known, c.failed)
		}
	}
}

// verdict stands for a test and records whether it failed.
type verdict struct {
	testing.TB
	failed bool
}

func (v *verdict) Helper() {}

func (v *verdict) Errorf(string, ...any) { v.failed = true }
