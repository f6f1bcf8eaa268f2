package openapi_test

import (
	"errors"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/holdfast-games/holdfast/proto/internal/wiretest"
	"github.com/holdfast-games/holdfast/proto/openapi"
	"github.com/holdfast-games/holdfast/proto/wire"
)

const (
	problemSchema = "#/components/schemas/Problem"
	accessToken   = "accessToken"
	serviceToken  = "serviceToken"
	hookSecret    = "hookSecret"
	public        = ""
)

// contract is every call that is documented, and what it takes to make it.
var contract = map[string]string{
	"POST /api/auth/guest":                     public,
	"POST /api/auth/refresh":                   public,
	"POST /api/auth/logout":                    accessToken,
	"GET /api/auth/me":                         accessToken,
	"GET /.well-known/jwks.json":               public,
	"GET /api/session":                         accessToken,
	"DELETE /api/session":                      accessToken,
	"GET /internal/sessions/{player}":          serviceToken,
	"POST /internal/sessions/{player}/kick":    serviceToken,
	"POST /api/matchmaking/queue":              accessToken,
	"GET /api/matchmaking/queue":               accessToken,
	"DELETE /api/matchmaking/queue":            accessToken,
	"DELETE /api/matchmaking/queue/all":        accessToken,
	"GET /api/matchmaking/queues":              public,
	"GET /api/matchmaking/matches/{id}":        accessToken,
	"POST /api/matchmaking/matches/{id}/leave": accessToken,
	"POST /emqx/auth":                          hookSecret,
	"POST /emqx/authz":                         hookSecret,
	"POST /emqx/webhook":                       hookSecret,
	"GET /livez":                               public,
	"GET /readyz":                              public,
	"GET /metrics":                             public,
}

// operation is one documented call.
type operation struct {
	name     string // "GET /api/session"
	document *openapi3.T
	*openapi3.Operation
}

func load(t *testing.T, name string) *openapi3.T {
	t.Helper()
	loader := openapi3.NewLoader()
	loader.IsExternalRefsAllowed = true
	loader.ReadFromURIFunc = func(_ *openapi3.Loader, uri *url.URL) ([]byte, error) {
		return openapi.Read(path.Base(uri.Path))
	}
	document, err := loader.LoadFromURI(&url.URL{Path: name})
	if err != nil {
		t.Fatalf("load %s: %v", name, err)
	}
	return document
}

func operations(t *testing.T) []operation {
	t.Helper()
	var all []operation
	for _, name := range openapi.Names() {
		document := load(t, name)
		for address, item := range document.Paths.Map() {
			for method, op := range item.Operations() {
				all = append(all, operation{method + " " + address, document, op})
			}
		}
	}
	return all
}

// scheme returns the security scheme that the call needs, or public.
func (o operation) scheme() string {
	security := o.Security
	if security == nil {
		security = &o.document.Security
	}
	var names []string
	for _, requirement := range *security {
		names = slices.AppendSeq(names, maps.Keys(requirement))
	}
	return strings.Join(names, " and ")
}

func TestNamesListsEveryDocument(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	names := openapi.Names()
	slices.Sort(names)
	if !slices.Equal(names, files) {
		t.Errorf("Names() = %v, the folder has %v", names, files)
	}
	if _, err := openapi.Read("lobby.yaml"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Read of a document that is not there: %v, want fs.ErrNotExist", err)
	}
}

func TestDocumentsAreValid(t *testing.T) {
	t.Parallel()
	for _, name := range openapi.Names() {
		if err := load(t, name).Validate(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheContractIsDocumented(t *testing.T) {
	t.Parallel()
	documented := map[string]string{}
	owners := map[string]string{}
	for _, op := range operations(t) {
		if other, taken := owners[op.OperationID]; taken || op.OperationID == "" {
			t.Errorf("%s has the operationId %q, and so has %q", op.name, op.OperationID, other)
		}
		owners[op.OperationID] = op.name
		documented[op.name] = op.scheme()
	}
	if !maps.Equal(documented, contract) {
		t.Errorf("documented:\n%v\nwant:\n%v", documented, contract)
	}
}

func TestEveryErrorIsAProblem(t *testing.T) {
	t.Parallel()
	for _, op := range operations(t) {
		for status, response := range op.Responses.Map() {
			if status[0] != '4' && status[0] != '5' {
				continue
			}
			checkProblem(t, op.name+" "+status, status, response.Value)
		}
	}
}

func checkProblem(t *testing.T, where, status string, response *openapi3.Response) {
	t.Helper()
	content := response.Content[wire.ProblemMediaType]
	if len(response.Content) != 1 || content == nil || !strings.HasSuffix(content.Schema.Ref, problemSchema) {
		t.Errorf("%s is not a Problem, and only that", where)
	}
	if waits := status == "429" || status == "503"; waits != (response.Headers["Retry-After"] != nil) {
		t.Errorf("%s: Retry-After is documented: %v, want %v", where, !waits, waits)
	}
	codes := codesIn(*response.Description)
	if len(codes) == 0 {
		t.Errorf("%s names no code", where)
	}
	for _, code := range codes {
		if got := strconv.Itoa(code.Status()); !code.Known() || got != status {
			t.Errorf("%s names %q, which is listed: %v, with status %s", where, code, code.Known(), got)
		}
	}
}

// codesIn returns the codes at the head of a response's description.
func codesIn(description string) []wire.Code {
	head := regexp.MustCompile("^`[a-z_]+`(, `[a-z_]+`)*").FindString(description)
	var codes []wire.Code
	for _, quoted := range strings.FieldsFunc(head, func(r rune) bool { return strings.ContainsRune("`, ", r) }) {
		codes = append(codes, wire.Code(quoted))
	}
	return codes
}

func TestStatusesFollowFromTheCall(t *testing.T) {
	t.Parallel()
	for _, op := range operations(t) {
		if strings.HasSuffix(op.document.Info.Title, "operations") {
			continue
		}
		want := map[int]bool{
			http.StatusUnauthorized:        op.scheme() != public || op.OperationID == "refreshTokens",
			http.StatusInternalServerError: true,
		}
		if op.scheme() == accessToken {
			want[http.StatusTooManyRequests] = true
			want[http.StatusServiceUnavailable] = true
		}
		// The authenticator and the authorizer answer a senseless body with a denial.
		if denies := op.OperationID == "authenticate" || op.OperationID == "authorize"; op.RequestBody != nil || denies {
			for _, status := range []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType} {
				want[status] = !denies
			}
		}
		for status, documented := range want {
			if got := op.Responses.Status(status) != nil; got != documented {
				t.Errorf("%s: status %d is documented: %v, want %v", op.name, status, got, documented)
			}
		}
	}
}

func TestCodesAgreeWithPackageWire(t *testing.T) {
	t.Parallel()
	schema := load(t, "wire.yaml").Components.Schemas["Code"].Value
	var documented, listed, described []string
	for _, value := range schema.Enum {
		documented = append(documented, value.(string))
	}
	for _, code := range wire.Codes() {
		listed = append(listed, string(code))
	}
	line := regexp.MustCompile("(?m)^- `([a-z_]+)` \\((\\d+)\\): \\S")
	for _, found := range line.FindAllStringSubmatch(schema.Description, -1) {
		described = append(described, found[1])
		if got := strconv.Itoa(wire.Code(found[1]).Status()); got != found[2] {
			t.Errorf("%s is described with status %s and has %s", found[1], found[2], got)
		}
	}
	if !slices.Equal(documented, listed) {
		t.Errorf("the enum has\n%v\nwire.Codes() has\n%v", documented, listed)
	}
	if !slices.Equal(described, listed) {
		t.Errorf("described are\n%v\nwire.Codes() has\n%v", described, listed)
	}
	constants := wiretest.Constants(t, "Code")
	slices.Sort(constants)
	slices.Sort(listed)
	if !slices.Equal(constants, listed) {
		t.Errorf("the constants are\n%v\nwire.Codes() has\n%v", constants, listed)
	}
}

// TestEveryCodeIsPromised: a code that no answer names must be one of those any
// path can give.
func TestEveryCodeIsPromised(t *testing.T) {
	t.Parallel()
	anywhere := []wire.Code{wire.CodeForbidden, wire.CodeNotFound, wire.CodeMethodNotAllowed, wire.CodeConflict}
	promised := map[wire.Code]bool{}
	for _, op := range operations(t) {
		for _, response := range op.Responses.Map() {
			for _, code := range codesIn(*response.Value.Description) {
				promised[code] = true
			}
		}
	}
	for _, code := range wire.Codes() {
		if promised[code] == slices.Contains(anywhere, code) {
			t.Errorf("%q: promised by an answer %v, possible anywhere %v", code, promised[code], slices.Contains(anywhere, code))
		}
	}
}

func TestEnumsAgreeWithPackageWire(t *testing.T) {
	t.Parallel()
	schemas := load(t, "wire.yaml").Components.Schemas
	for _, name := range []string{"Presence", "MatchState"} {
		var documented []string
		for _, value := range schemas[name].Value.Enum {
			documented = append(documented, value.(string))
		}
		if constants := wiretest.Constants(t, name); !slices.Equal(documented, constants) {
			t.Errorf("%s is documented as %v, the constants are %v", name, documented, constants)
		}
	}
}
