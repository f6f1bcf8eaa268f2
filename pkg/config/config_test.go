package config_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-games/holdfast/pkg/config"
	"github.com/holdfast-games/holdfast/pkg/secret"
)

type inner struct {
	Wait time.Duration `env:"WAIT" envDefault:"2s" doc:"how long to wait"`
}

type settings struct {
	Addr  string        `env:"ADDR" envDefault:":80" doc:"where to listen"`
	Count int           `env:"COUNT" doc:"how many"`
	Token secret.Secret `env:"TOKEN" doc:"what others present"`
	URL   secret.Secret `env:"URL" envDefault:"redis://default" doc:"where Redis is"`
	Inner inner
}

const hidden = "s3cr3t-value"

func parse(vars map[string]string) (settings, error) {
	return config.Parse[settings](config.Environ{}.With(vars))
}

func file(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaultsAndValues(t *testing.T) {
	got, err := parse(nil)
	want := settings{Addr: ":80", URL: "redis://default", Inner: inner{Wait: 2 * time.Second}}
	if err != nil || got != want {
		t.Errorf("without variables: %+v, %v", got, err)
	}
	got, err = parse(map[string]string{"ADDR": ":1", "COUNT": "3", "TOKEN": hidden, "URL": "redis://x", "WAIT": "1m"})
	want = settings{Addr: ":1", Count: 3, Token: hidden, URL: "redis://x", Inner: inner{Wait: time.Minute}}
	if err != nil || got != want {
		t.Errorf("with variables: %+v, %v", got, err)
	}
}

// A compose file passes variables on that nobody has set as empty ones.
func TestEmptyMeansTheDefault(t *testing.T) {
	got, err := parse(map[string]string{"ADDR": "", "COUNT": "", "WAIT": "", "URL": "", "TOKEN_FILE": ""})
	want := settings{Addr: ":80", URL: "redis://default", Inner: inner{Wait: 2 * time.Second}}
	if err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestOnlyThePrefixCounts(t *testing.T) {
	got, err := config.Parse[settings](config.Environ{"ADDR": ":1", "TOKEN": hidden, "OTHER_ADDR": ":2"})
	if err != nil || got.Addr != ":80" || got.Token.Set() {
		t.Errorf("%+v, %v: variables without the prefix are not ours", got, err)
	}
}

func TestSecretsFromFiles(t *testing.T) {
	for name, content := range map[string]string{
		"bare": hidden, "newline": hidden + "\n", "windows": hidden + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parse(map[string]string{"TOKEN_FILE": file(t, content), "URL_FILE": file(t, "redis://file")})
			if err != nil || got.Token.Reveal() != hidden || got.URL.Reveal() != "redis://file" {
				t.Errorf("%q, %q, %v", got.Token.Reveal(), got.URL.Reveal(), err)
			}
		})
	}
	got, err := parse(map[string]string{"TOKEN_FILE": file(t, " in between \n")})
	if err != nil || got.Token.Reveal() != " in between " {
		t.Errorf("only line ends are cut off: %q, %v", got.Token.Reveal(), err)
	}
	got, err = parse(map[string]string{"TOKEN": "", "TOKEN_FILE": file(t, hidden)})
	if err != nil || got.Token.Reveal() != hidden {
		t.Errorf("an empty variable beside the file: %q, %v", got.Token.Reveal(), err)
	}
}

func TestOnlySecretsHaveFiles(t *testing.T) {
	got, err := parse(map[string]string{"ADDR_FILE": file(t, ":1")})
	if err != nil || got.Addr != ":80" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		vars map[string]string
		want string // the variable to look at
	}{
		"variable and file":       {map[string]string{"TOKEN": hidden, "TOKEN_FILE": file(t, hidden)}, "HOLDFAST_TOKEN_FILE"},
		"missing file":            {map[string]string{"TOKEN_FILE": filepath.Join(t.TempDir(), "none"), "URL": hidden}, "HOLDFAST_TOKEN_FILE"},
		"number":                  {map[string]string{"COUNT": "many", "TOKEN": hidden}, "HOLDFAST_COUNT"},
		"duration of a substruct": {map[string]string{"WAIT": "10", "TOKEN_FILE": file(t, hidden)}, "HOLDFAST_WAIT"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse(c.vars)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want one that names %s", err, c.want)
			}
			if strings.Contains(err.Error(), hidden) {
				t.Errorf("the error holds a secret: %v", err)
			}
		})
	}
}

func TestEveryMistakeIsNamed(t *testing.T) {
	_, err := parse(map[string]string{"COUNT": "many", "WAIT": "10"})
	if err == nil || !strings.Contains(err.Error(), "HOLDFAST_COUNT") || !strings.Contains(err.Error(), "HOLDFAST_WAIT") {
		t.Errorf("error %v, want both variables", err)
	}
}

func TestTable(t *testing.T) {
	want := "| variable | default | meaning |\n|---|---|---|\n" +
		"| `HOLDFAST_ADDR` | `:80` | where to listen |\n" +
		"| `HOLDFAST_COUNT` |  | how many |\n" +
		"| `HOLDFAST_TOKEN` |  | what others present (secret; or `HOLDFAST_TOKEN_FILE`) |\n" +
		"| `HOLDFAST_URL` | `redis://default` | where Redis is (secret; or `HOLDFAST_URL_FILE`) |\n" +
		"| `HOLDFAST_WAIT` | `2s` | how long to wait |\n"
	if got := config.Table[settings](); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
}

func TestNames(t *testing.T) {
	want := []string{
		"HOLDFAST_ADDR", "HOLDFAST_COUNT", "HOLDFAST_TOKEN", "HOLDFAST_TOKEN_FILE", "HOLDFAST_URL", "HOLDFAST_URL_FILE", "HOLDFAST_WAIT",
	}
	if got := config.Names[settings](); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestWithLeavesTheOriginalAlone(t *testing.T) {
	base := config.Environ{"HOLDFAST_ADDR": ":1"}
	more := base.With(map[string]string{"ADDR": ":2", "COUNT": "1"})
	if base["HOLDFAST_ADDR"] != ":1" || len(base) != 1 || more["HOLDFAST_ADDR"] != ":2" || more["HOLDFAST_COUNT"] != "1" {
		t.Errorf("base %v, more %v", base, more)
	}
}

func TestOS(t *testing.T) {
	t.Setenv("HOLDFAST_ADDR", "a=b=c")
	if got := config.OS()["HOLDFAST_ADDR"]; got != "a=b=c" {
		t.Errorf("HOLDFAST_ADDR = %q", got)
	}
}
