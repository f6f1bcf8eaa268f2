package holdfast

import (
	"regexp"
	"strconv"
	"strings"
)

// An importRule forbids imports to the packages of some folders. All of its
// patterns are regular expressions; the imports of this repository are written
// "~/pkg/session".
type importRule struct {
	in      string // folders that it binds
	except  string // folders that it does not bind after all
	imports string // imports that it forbids
	allowed string // imports that it permits after all; $1 is the first group of in
	tests   bool   // binds test files as well
	why     string
	refuses string // "folder import": an example
	accepts string // "folder import": an example
}

const (
	anywhere    = `.`
	wiring      = `^services/[^/]+$|^pkg/platform$`
	thirdParty  = `^[^/~]+\.[^/]+/`
	testPackage = `^pkg/testkit(/|$)|^tests(/|$)|/[a-z]+test$`
)

// importTable says who may import whom.
var importTable = []importRule{
	{
		in: anywhere, except: `/redisstore$|^pkg/(rediskit|outbox)$|` + testPackage + `|` + wiring,
		imports: `^github\.com/redis/go-redis/`,
		why:     "Redis is spoken in redisstore, rediskit and outbox; the rest asks a Store",
		refuses: "services/auth/internal/api github.com/redis/go-redis/v9",
		accepts: "services/auth/internal/redisstore github.com/redis/go-redis/v9",
	},
	{
		in: anywhere, except: `/internal/(api|hook)$|^pkg/httpkit$|` + testPackage + `|` + wiring,
		imports: `^github\.com/labstack/`,
		why:     "the web framework stays at the edges (api, hook, httpkit, service roots), so that the next one is a day's work",
		refuses: "services/auth/internal/account github.com/labstack/echo/v4",
		accepts: "services/auth/internal/api github.com/labstack/echo/v4",
	},
	{
		in: anywhere, except: `^pkg/jwtkit$`, imports: `^github\.com/(golang-jwt|MicahParks)/`,
		why:     "tokens are signed and verified by jwtkit, in one place, with one list of algorithms",
		refuses: "services/auth/internal/account github.com/golang-jwt/jwt/v5",
		accepts: "pkg/jwtkit github.com/golang-jwt/jwt/v5",
	},
	{
		in: anywhere, except: `^pkg/mqttkit$|` + testPackage, imports: `^github\.com/eclipse/paho`,
		why:     "MQTT is published through mqttkit, which knows what an acknowledgement means",
		refuses: "services/emqx-hook/internal/relay github.com/eclipse/paho.golang/autopaho",
		accepts: "pkg/mqttkit github.com/eclipse/paho.golang/autopaho",
	},
	{
		in: anywhere, except: `^services/standalone/internal/broker$|` + testPackage, imports: `^github\.com/mochi-mqtt/`,
		why:     "the embedded broker belongs to standalone; production has EMQX",
		refuses: "services/emqx-hook/internal/hook github.com/mochi-mqtt/server/v2",
		accepts: "services/standalone/internal/broker github.com/mochi-mqtt/server/v2",
	},
	{
		in: anywhere, except: `/sqlstore$|` + testPackage, imports: `^(github\.com/(jackc|pressly)/|modernc\.org/)`,
		why:     "SQL is spoken in sqlstore, on both databases, with one set of migrations",
		refuses: "services/auth github.com/jackc/pgx/v5",
		accepts: "pkg/players/sqlstore modernc.org/sqlite",
	},
	{
		in: anywhere, except: `^services/standalone(/internal/[a-z]+)?$|` + testPackage, imports: `^github\.com/alicebob/`,
		why:     "miniredis is for tests and for standalone: it forgets everything",
		refuses: "pkg/session/redisstore github.com/alicebob/miniredis/v2",
		accepts: "services/standalone github.com/alicebob/miniredis/v2",
	},
	{
		in: `^services/([^/]+)`, except: `^services/standalone(/|$)`, imports: `^~/services/`, allowed: `^~/services/$1(/|$)`,
		tests:   true,
		why:     "a service meets another over HTTP, MQTT or the session protocol, never in code",
		refuses: "services/matchmaking/internal/api ~/services/session",
		accepts: "services/matchmaking/internal/api ~/services/matchmaking/internal/ticket",
	},
	{
		in: `^services/standalone(/|$)|^tests(/|$)`, imports: `^~/services/[^/]+/`, allowed: `^~/services/standalone/`,
		tests:   true,
		why:     "whoever runs several services starts them by their roots, as their mains do",
		refuses: "tests/stack ~/services/auth/cmd/auth",
		accepts: "tests/stack ~/services/auth",
	},
	{
		in: `^(pkg|proto)/`, imports: `^~/(services|tests)`, tests: true,
		why:     "what everybody shares must not know its users",
		refuses: "pkg/session ~/services/session",
		accepts: "pkg/session ~/pkg/id",
	},
	{
		in: `^proto/`, imports: thirdParty + `|^~/`, allowed: `^github\.com/oapi-codegen/(runtime|nullable)|^~/proto/`,
		why:     "a client of Holdfast gets the wire types and nothing else",
		refuses: "proto/wire ~/pkg/id",
		accepts: "proto/authapi github.com/oapi-codegen/runtime",
	},
	{
		in: `^pkg/(apperr|clock|id|secret|shard)$`, imports: thirdParty + `|^~/`, allowed: `^github\.com/google/uuid$`,
		why:     "the lowest mechanisms stand on the standard library alone, so that everything may use them",
		refuses: "pkg/clock ~/pkg/config",
		accepts: "pkg/id github.com/google/uuid",
	},
	{
		in: `^pkg/[^/]+$`, except: `^pkg/(session|players)$|` + wiring, imports: `^~/pkg/(session|players)(/|$)`,
		why:     "a mechanism knows no player",
		refuses: "pkg/httpkit ~/pkg/session",
		accepts: "pkg/httpkit ~/pkg/jwtkit",
	},
	{
		in: `^services/[^/]+/internal/|^pkg/(session|players)$`, except: rims,
		imports: `^(net|net/http|os|os/exec|database/sql)$|^~/pkg/(rediskit|mqttkit|httpkit|config|outbox)$`,
		why:     "rules take values and return values; what does I/O is an edge or a store",
		refuses: "services/matchmaking/internal/ticket net/http",
		accepts: "services/matchmaking/internal/redisstore ~/pkg/rediskit",
	},
	{
		in: `^services/auth(/|$)|^pkg/(id|jwtkit|players|secret)(/|$)`, imports: `^math/rand`,
		why:     "identifiers, keys and tokens must not be guessed: crypto/rand",
		refuses: "services/auth/internal/token math/rand/v2",
		accepts: "services/matchmaking/internal/planner math/rand/v2",
	},
	{
		in: anywhere, except: testPackage, imports: `^testing(/|$)|^~/pkg/testkit(/|$)|test$`,
		why:     "what is made for tests must not reach a binary",
		refuses: "services/session ~/pkg/testkit/redistest",
		accepts: "pkg/session/sessiontest testing",
	},
}

// rims are the packages inside services that do I/O. A new one is added here,
// on purpose.
const rims = `^services/standalone/internal/` + // stands in for servers
	`|/internal/(api|hook)(/|$)` + // speak HTTP, with clients and with the broker
	`|/internal/(redisstore|sqlstore|memstore)$` + // keep things
	`|^services/session/internal/watch$` + // follows the outbox
	`|^services/emqx-hook/internal/(relay|kicker)$` + // outbox to broker, by MQTT and by REST
	`|/internal/[a-z]+test$` // suites, which start what they test

func importsRule() rule {
	r := rule{name: "imports", check: func(s *source) []string { return checkImports(s, importTable) }}
	for _, row := range importTable {
		r.bad = append(r.bad, breaker{archive: importArchive(row.refuses), want: row.why})
		r.good = append(r.good, importArchive(row.accepts))
	}
	return r
}

func importArchive(example string) string {
	dir, imported, _ := strings.Cut(example, " ")
	imported = strings.Replace(imported, "~", modulePath, 1)
	return "== " + dir + "/x.go\npackage x\n\nimport _ " + strconv.Quote(imported) + "\n"
}

func checkImports(s *source, table []importRule) []string {
	var complaints []string
	for _, row := range table {
		forbids := row.compile()
		for _, f := range s.goFiles {
			if f.test && !row.tests {
				continue
			}
			for _, spec := range f.syntax.Imports {
				imported := strings.Replace(strings.Trim(spec.Path.Value, `"`), modulePath, "~", 1)
				if forbids(f.dir, imported) {
					complaints = append(complaints, f.complain(spec.Pos(), "imports %s: %s", imported, row.why))
				}
			}
		}
	}
	return complaints
}

// compile returns a function that tells whether the rule forbids an import to
// a folder.
func (r importRule) compile() func(dir, imported string) bool {
	in, imports := regexp.MustCompile(r.in), regexp.MustCompile(r.imports)
	return func(dir, imported string) bool {
		groups := in.FindStringSubmatchIndex(dir)
		if groups == nil || !imports.MatchString(imported) || matches(r.except, dir) {
			return false
		}
		allowed := in.ExpandString(nil, r.allowed, dir, groups)
		return !matches(string(allowed), imported)
	}
}

// matches reports whether text matches pattern; nothing matches no pattern.
func matches(pattern, text string) bool {
	return pattern != "" && regexp.MustCompile(pattern).MatchString(text)
}
